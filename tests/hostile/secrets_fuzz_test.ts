/** Random passwords in random places: in no output, and not in the history, whatever the server or a migration does with them. */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { upCode } from "../support/program/migrations.ts";
import { scenario } from "../support/program/scenario.ts";
import { SEED } from "../support/program/seed.ts";
import { visible } from "../../src/text.ts";

const RUNS = 6;

/** What a migration does with the password `p`; `q` is that as a literal of SQL, `i` as a name. */
const PLACES = {
  thrown: "throw new Error(`no: ${p}`);",
  cause: "throw new Error('no', { cause: new TypeError(p) });",
  thrownObject: "throw { message: p };",
  thrownUrl: "throw new Error(Deno.env.get('DATABASE_URL'));",
  long: "throw new Error('x'.repeat(1_990) + p + 'y'.repeat(100));",
  printed: "console.log({ p, at: [p] }); throw new Error('no');",
  pieces:
    "const all = [...p]; process.stdout.write(all.slice(0, 3).join('')); process.stdout.write(all.slice(3).join('')); throw new Error('no');",
  message: "await run(`raise exception using message = ${q}`);",
  detail:
    "await run(`raise exception using message = 'no', detail = ${q}, hint = ${q}`);",
  notice:
    "await run(`raise warning using message = ${q}`); throw new Error('no');",
  statement:
    "await sql.raw(`select ${'x'.repeat(50)}, ${q} from nothing`).execute(db);",
  statementBefore: "await sql.raw(`select ${q}, ${q}, 1 +`).execute(db);",
  longStatement:
    "await sql.raw(`select '${'x'.repeat(1_980)}' || ${q}, 1 +`).execute(db);",
  comment: "await sql.raw(`select nothing -- ${p}\\n`).execute(db);",
  name: "await sql.raw(`select * from ${i}`).execute(db);",
  parameter: "await sql`select ${p}::integer`.execute(db);",
  late:
    "setTimeout(() => { throw new Error(p); }, 1); await new Promise((r) => setTimeout(r, 50));",
} as const;

const BODY = `
  const p = decodeURIComponent(new URL(Deno.env.get("DATABASE_URL")!).password);
  const q = \`'\${p.replaceAll("'", "''")}'\`;
  const i = \`"\${p.replaceAll('"', '""')}"\`;
  const run = (text: string) =>
    sql.raw(\`do $_$ begin \${text}; end $_$\`).execute(db);
  switch (Deno.env.get("PLACE")) {
${
  Object.entries(PLACES).map(([name, code]) =>
    `    case "${name}": {\n      ${code}\n      break;\n    }`
  ).join("\n")
}
  }`;

const passwords = fc.string({ unit: "grapheme", minLength: 8, maxLength: 24 })
  .map((text) => text.replaceAll(/\0|\$_\$|\*/g, "x"))
  // The server cuts names off at 63 bytes, and does not say so: see the guarantees.
  .filter((text) =>
    text.isWellFormed() && /(?:\S.*){6}/su.test(text) &&
    text === text.trim() && new TextEncoder().encode(text).length <= 60
  );

for (const transaction of ["true", "false"]) {
  scenario(
    `random passwords in random places are hidden in every output and in the history (transaction: ${transaction})`,
    {
      "0001_p":
        `export const options = { transaction: ${transaction}, idempotent: ${
          transaction === "false"
        } };\n${upCode(BODY)}`,
    },
    async (s) => {
      const role = await s.db.createRole((name) => [
        `grant create, usage on schema public to ${name}`,
      ]);
      const places = fc.constantFrom(...Object.keys(PLACES));
      const options = fc.constantFrom(
        "up",
        "up --verbose",
        "up --format json --verbose",
        "up --no-pipeline --quiet",
      );
      await fc.assert(
        fc.asyncProperty(
          passwords,
          places,
          options,
          async (password, place, command) => {
            const literal = password.replaceAll("'", "''");
            await s.db.query(`alter role ${role.name} password '${literal}'`);
            const url = new URL(role.url);
            url.password = "";
            const env = {
              PLACE: place,
              DATABASE_URL: url.href.replace(
                "@",
                `:${encodeURIComponent(password)}@`,
              ),
            };
            const up = await s.run(command, { env });
            assertEquals(up.code, 1, up.stderr);
            const status = await s.run("status --format json --verbose", {
              env,
            });
            assertEquals(status.code, 0, status.stderr);
            const rows = await s.db.query<{ error: string }>(
              "select error from migration_history where error is not null",
            );
            assert(rows.length > 0);
            const texts = [
              ...Object.values(up).map(String),
              ...Object.values(status).map(String),
              ...rows.map(({ error }) => error),
            ];
            for (const form of formsOf(password)) {
              for (const text of texts) {
                assert(!text.includes(form), `${place}: ${form} in ${text}`);
              }
            }
          },
        ),
        { numRuns: RUNS, seed: SEED },
      );
    },
  );
}

/** The ways to write a password, and half of it. */
function formsOf(password: string): readonly string[] {
  const half = [...password].slice(0, 6).join("");
  const end = [...password].slice(-6).join("");
  return [password, half, end].flatMap((text) => [
    ...(text.isWellFormed() ? [encodeURIComponent(text)] : []),
    text,
    text.replaceAll("'", "''"),
    JSON.stringify(text).slice(1, -1),
    visible(text),
  ]).filter((form) => form.trim().length >= 6);
}
