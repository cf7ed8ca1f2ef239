import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { table } from "../support/program/migrations.ts";
import { startProxy } from "../support/net/proxy.ts";
import { CONNECTED, scenario } from "../support/program/scenario.ts";

const A = { "0001_a": table("a") };

/** A port that nobody listens on, for a moment ago it was ours. */
function closedPort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** What fails at once is not waited for, however long one may wait. */
const PATIENT = "--wait-for-db 10m";

scenario(
  "a server that refuses fails at once with --wait-for-db 0",
  A,
  async (s) => {
    const port = closedPort();
    const url = `postgres://me:hunter2@127.0.0.1:${port}/there`;
    assertEquals(await s.run("up --wait-for-db 0", { url }), {
      code: 1,
      stdout: "",
      stderr: `\
error: Cannot connect to the database "there" at 127.0.0.1:${port}: the connection was refused
Failed in T: nothing was changed
`,
    });
  },
);

scenario(
  "a server that refuses is waited for as long as told",
  A,
  async (s) => {
    const port = closedPort();
    const url = `postgres://me:hunter2@127.0.0.1:${port}/there`;
    const reason =
      `Cannot connect to the database "there" at 127.0.0.1:${port}: the connection was refused`;
    const result = await s.run("up", {
      url,
      env: { MIGRATE_WAIT_FOR_DB: "1s" },
    });
    const lines = result.stderr.split("\n");
    assertEquals([result.code, result.stdout], [1, ""]);
    assertEquals(lines.splice(-3), [
      `error: ${reason}`,
      "Failed in T: nothing was changed",
      "",
    ]);
    assert(lines.length >= 2, result.stderr);
    for (const line of lines) {
      assertEquals(line, `Waiting for the database, T left: ${reason}`);
    }
  },
);

scenario("a server that comes up in time is used", A, async (s) => {
  await using proxy = await startProxy(s.db);
  proxy.front("accepts and closes");
  await using running = s.start("up", { url: proxy.url(s.db.url) });
  await running.waitFor("Waiting for the database, ");
  proxy.front(undefined);
  const { code, stdout } = await running.result;
  assertEquals([code, stdout], [
    0,
    "Applied 0001_a (T)\nApplied 1 migration in T\n",
  ]);
});

scenario(
  "a wrong password is not waited for, and never shown",
  A,
  async (s) => {
    const role = await s.db.createRole();
    const url = role.url.replace(role.password, "s3cret-%26-w%20rong");
    assertEquals(await s.run(`up ${PATIENT}`, { as: role, url }), {
      code: 1,
      stdout: "",
      stderr: `\
error: Cannot connect to the database "DB" at HOST:PORT: password authentication failed for user "ROLE" (SQLSTATE 28P01)
  hint: Check the password of the role "ROLE"
Failed in T: nothing was changed
`,
    });
  },
);

scenario("a missing password is a wrong one", A, async (s) => {
  const role = await s.db.createRole();
  const url = role.url.replace(`:${role.password}`, "");
  assertEquals(
    (await s.run("up", { as: role, url })).stderr,
    `\
error: Cannot connect to the database "DB" at HOST:PORT: password authentication failed for user "ROLE" (SQLSTATE 28P01)
  hint: Check the password of the role "ROLE"
Failed in T: nothing was changed
`,
  );
});

scenario("a missing role reads as the server puts it", A, async (s) => {
  const url = s.db.url.replace("//postgres:", "//nobody:");
  assertEquals(await s.run("status", { url }), {
    code: 1,
    stdout: "",
    stderr: `\
error: Cannot connect to the database "DB" at HOST:PORT: password authentication failed for user "nobody" (SQLSTATE 28P01)
  hint: Check the password of the role "nobody"
`,
  });
});

scenario("a role that may not log in is told so", A, async (s) => {
  const role = await s.db.createRole((name) => [`alter role ${name} nologin`]);
  assertEquals(await s.run("status", { as: role }), {
    code: 1,
    stdout: "",
    stderr: `\
error: Cannot connect to the database "DB" at HOST:PORT: role "ROLE" is not permitted to log in (SQLSTATE 28000)
  hint: Check that the role "ROLE" exists and that pg_hba.conf lets it in from here
`,
  });
});

scenario("a missing database is not waited for", A, async (s) => {
  const url = s.db.url.replace(s.db.name, "no%22%20such");
  assertEquals(await s.run(`up ${PATIENT}`, { url }), {
    code: 1,
    stdout: "",
    stderr: `\
error: Cannot connect to the database "no" such" at HOST:PORT: database "no" such" does not exist (SQLSTATE 3D000)
  hint: Create it first: create database "no"" such"
Failed in T: nothing was changed
`,
  });
});

scenario("a host that cannot be resolved is named", A, async (s) => {
  const url = "postgres://me:hunter2@nowhere.invalid/there";
  assertEquals(await s.run("up --wait-for-db 0", { url }), {
    code: 1,
    stdout: "",
    stderr: `\
error: Cannot connect to the database "there" at nowhere.invalid:5432: the host name cannot be resolved
Failed in T: nothing was changed
`,
  });
});

scenario(
  "a server that says nothing is left when the attempt's time is over",
  A,
  async (s) => {
    await using proxy = await startProxy(s.db);
    proxy.front("says nothing");
    const at = `127.0.0.1:${proxy.port}`;
    const result = await s.run("up --connect-timeout 500ms --wait-for-db 0", {
      url: proxy.url(s.db.url),
    });
    assertEquals(result, {
      code: 1,
      stdout: "",
      stderr: `\
error: Cannot connect to the database "DB" at ${at}: no answer within 500 ms
Failed in T: nothing was changed
`,
    });
  },
);

scenario("something else than PostgreSQL is recognised", A, async (s) => {
  await using proxy = await startProxy(s.db);
  proxy.front("speaks HTTP");
  const { code, stdout, stderr } = await s.run("up --wait-for-db 0", {
    url: proxy.url(s.db.url),
  });
  assertEquals([code, stdout], [1, ""]);
  assertStringIncludes(
    stderr,
    `Cannot connect to the database "DB" at 127.0.0.1:${proxy.port}: the answer to the request for TLS is not PostgreSQL's`,
  );
});

scenario("sslmode=require is refused by a server without TLS", A, async (s) => {
  assertEquals(await s.run("up", { url: `${s.db.url}?sslmode=require` }), {
    code: 1,
    stdout: "",
    stderr: `\
error: Cannot connect to the database "DB" at HOST:PORT: the server does not offer TLS
  hint: sslmode=require requires it; switch TLS on in the server, or look for what strips it on the way
Failed in T: nothing was changed
`,
  });
});

scenario(
  "POSTGRES_* and a file with the password connect as a URL does",
  A,
  async (s) => {
    const file = await Deno.makeTempFile();
    try {
      await Deno.writeTextFile(file, `${s.db.password}\n`);
      const env = {
        DATABASE_URL: "",
        POSTGRES_HOST: s.db.host,
        POSTGRES_PORT: `${s.db.port}`,
        POSTGRES_DB: s.db.name,
        POSTGRES_USER: s.db.user,
        POSTGRES_PASSWORD_FILE: file,
      };
      assertEquals(await s.run("status --check", { env }), {
        code: 3,
        stdout: (await s.run("status")).stdout,
        stderr: CONNECTED,
      });
    } finally {
      await Deno.remove(file);
    }
  },
);

scenario(
  "DATABASE_URL_FILE names a file with the URL, and a flag wins over it all",
  A,
  async (s) => {
    const file = await Deno.makeTempFile();
    try {
      await Deno.writeTextFile(file, `${s.db.url}\n`);
      const env = {
        DATABASE_URL: "",
        DATABASE_URL_FILE: file,
        POSTGRES_HOST: "nowhere.invalid",
        POSTGRES_USER: "nobody",
      };
      assertEquals((await s.run("status", { env })).code, 0);
      const wrong = { ...env, DATABASE_URL: "postgres://me@127.0.0.1:1/x" };
      assertEquals(
        (await s.run(["status", "--database-url", s.db.url], {
          env: { ...wrong, DATABASE_URL_FILE: "" },
        })).code,
        0,
      );
    } finally {
      await Deno.remove(file);
    }
  },
);

scenario("of several hosts the first that answers is taken", A, async (s) => {
  const hosts = `127.0.0.1:${closedPort()},${s.db.host}:${s.db.port}`;
  const url = s.db.url.replace(`${s.db.host}:${s.db.port}`, hosts);
  assertEquals((await s.run("up --wait-for-db 0", { url })).code, 0);
});

scenario(
  "the session is named after the program, unless the URL names it",
  A,
  async (s) => {
    const names = {
      "0001_a": `import { type Kysely, sql } from "kysely";
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql\`create table names as select current_setting('application_name') as name\`.execute(db);
}
export async function down(db: Kysely<unknown>): Promise<void> {
  await sql\`drop table names\`.execute(db);
}
`,
    };
    await s.release(names);
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await s.db.query("select name from names"), [{
      name: "battlescope-migrate 0.1.0",
    }]);
    const url = `${s.db.url}?application_name=deploy%2042`;
    assertEquals((await s.run("redo --yes", { url })).code, 0);
    assertEquals(await s.db.query("select name from names"), [{
      name: "deploy 42",
    }]);
  },
);
