/** Parameters take no flights of their own, but where the server has to say first what they are. */
import { assertEquals } from "@std/assert";
import { startProxy } from "../support/net/proxy.ts";
import { upCode } from "../support/program/migrations.ts";
import { scenario } from "../support/program/scenario.ts";

/** What is run many times, and how many flights each time takes. */
const FLIGHTS: Readonly<Record<string, readonly [string, number]>> = {
  "values that are no arrays": [
    "await sql`insert into t values (${i}, ${'x'}, ${{ a: [1n] }}, ${new Date(0)}, ${null}, ${null}, ${null})`.execute(db)",
    1,
  ],
  "a query with parameters": [
    "await sql`select ${i}::int as n`.execute(db)",
    1,
  ],
  "an array": [
    "await sql`insert into t (numbers) values (${[i]})`.execute(db)",
    2,
  ],
  "bytes": [
    "await sql`insert into t (bytes) values (${new Uint8Array([i])})`.execute(db)",
    2,
  ],
  "an array of a type that was new": [
    "await sql`insert into t (moods) values (${['happy']})`.execute(db)",
    2,
  ],
  "a result of a type that was new": [
    "await sql`select moods from t`.execute(db)",
    1,
  ],
};

for (const [what, [statement, flights]] of Object.entries(FLIGHTS)) {
  scenario(
    `${what}: the flights that it takes are ${flights}`,
    {},
    async (s) => {
      const [few, many] = [3, 9];
      const taken: number[] = [];
      const sent: string[] = [];
      for (const count of [few, many]) {
        const { url } = await s.db.createDatabase();
        await using proxy = await startProxy(s.db, { turns: true });
        await s.release({
          "0001_flights": upCode(
            `  await sql\`create type mood as enum ('happy', 'sad')\`.execute(db);
  await sql\`create table t (id int, note text, document jsonb, at timestamptz, numbers int[], bytes bytea, moods mood[])\`.execute(db);
  await sql\`insert into t (moods) values ('{sad}')\`.execute(db);
  for (let i = 0; i < ${count}; i++) ${statement};`,
          ),
        });
        // What is sent ahead shares flights with whatever comes next, as it happens.
        const { code, stderr } = await s.run("up --no-pipeline", {
          url: proxy.url(url),
        });
        assertEquals(code, 0, stderr);
        taken.push(proxy.sessions[0]!.flights);
        sent.push(...proxy.sessions[0]!.requests);
      }

      assertEquals(
        taken[1]! - taken[0]!,
        flights * (many - few),
        sent.join("\n"),
      );
    },
  );
}
