/** Texts of several statements, as people paste them: read as the server reads them. */
import { assertEquals } from "@std/assert";
import { migration, table } from "../support/program/migrations.ts";
import { CONNECTED, scenario } from "../support/program/scenario.ts";

/** What `pg_dump --inserts` writes. */
const DUMP = `--
-- PostgreSQL database dump
--

SET statement_timeout = 0;
SET lock_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;

--
-- Name: f(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.f() RETURNS text
    LANGUAGE sql
    BEGIN ATOMIC
 SELECT
         CASE
             WHEN true THEN ';'::text
             ELSE 'end'::text
         END AS "end";
END;

CREATE FUNCTION public.g() RETURNS void
    LANGUAGE plpgsql
    AS $_$
begin
  perform regexp_replace('it''s', '\\s+$', $$;$$);
exception when others then null;
end;
$_$;

COMMENT ON FUNCTION public.g() IS 'rolls back; it''s final\\';

CREATE TABLE public.a (id integer NOT NULL, path text);

INSERT INTO public.a VALUES (1, 'C:\\');
INSERT INTO public.a VALUES (2, 'commit;');

CREATE RULE r AS
    ON INSERT TO public.a DO ( SELECT 1;
 SELECT 2;
);
`;

scenario(
  "the file that pg_dump writes is a migration like any other",
  {
    "0001_dump": migration({ up: DUMP }),
    "0002_b": migration({ up: "create table b as select f()" }),
  },
  async (s) => {
    assertEquals(await s.run("up"), {
      code: 0,
      stdout:
        "Applied 0001_dump (T)\nApplied 0002_b (T)\nApplied 2 migrations in T\n",
      stderr: `\
${CONNECTED}Applying 0001_dump (1 of 2)
Applying 0002_b (2 of 2)
`,
    });
    assertEquals(await s.db.query("select id, path, f from a, b order by id"), [
      { id: 1, path: "C:\\", f: ";" },
      { id: 2, path: "commit;", f: ";" },
    ]);
  },
);

scenario(
  "a command of psql is no SQL, which the server says where it stands",
  { "0001_dump": migration({ up: `\\restrict a1B2\n\n${DUMP}` }) },
  async (s) => {
    assertEquals(await s.run("up"), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}Applying 0001_dump (1 of 1)
error: Cannot apply "0001_dump": syntax error at or near "\\" (SQLSTATE 42601)
  statement: \\restrict a1B2
             ^
Failed in T: nothing was changed, 1 not run
`,
    });
  },
);

scenario(
  "a regular expression in a string beside the body of a function is read as one",
  {
    "0001_a": migration({
      up: `
    create table a (code text, constraint digits check (code ~ '^\\d+$'));
    create function touch() returns trigger language plpgsql as $body$
    begin
      if new.code = '' then new.code := null; end if;
      return new;
    end
    $body$;
    create trigger touch before insert on a for each row execute function touch();
    insert into a values ('12'), ('');`,
    }),
  },
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await s.db.query("select code from a order by code"), [
      { code: "12" },
      { code: null },
    ]);
  },
);

for (
  const [how, up] of [
    ["after another statement", "create table a (); copy a from stdin;"],
    ["with its data", "copy a from stdin;\n1\tit's\n\\.\n"],
    ["in brackets", "select 1; /* ; */ Copy (select 1)\nTo stdout"],
  ] as const
) {
  scenario(
    `COPY through the client is refused ${how}`,
    { "0001_a": migration({ up }) },
    async (s) => {
      assertEquals(await s.run("up"), {
        code: 1,
        stdout: "",
        stderr: `\
${CONNECTED}Applying 0001_a (1 of 1)
error: Cannot apply "0001_a": COPY from stdin and to stdout need a client that handles the data, which this is not: \
insert the rows instead
Failed in T: nothing was changed, 1 not run
`,
      });
      assertEquals(await s.tables(), []);
    },
  );
}

scenario(
  "a text that is cut off in a string is told as the server tells it",
  { "0001_a": migration({ up: "create table a (); select 'x; commit" }) },
  async (s) => {
    assertEquals(await s.run("up"), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}Applying 0001_a (1 of 1)
error: Cannot apply "0001_a": unterminated quoted string at or near "'x; commit" (SQLSTATE 42601)
  statement: create table a (); select 'x; commit
                                       ^
Failed in T: nothing was changed, 1 not run
`,
    });
    assertEquals(await s.tables(), []);
  },
);

const ENDS =
  "leave out BEGIN and COMMIT: the program sends both, and a migration may not end the transaction that it runs in; to run outside of a transaction: export const options = { transaction: false }";

/** A commit where a backslash is itself; a string where it escapes the quote. */
const EITHER = "select '\\'; commit; begin --'";

scenario(
  "strings are read by the setting of the database",
  { "0001_a": table("a"), "0002_b": migration({ up: EITHER }) },
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await s.tables(), ["a"]);
  },
  { settings: { standard_conforming_strings: "off" } },
);

scenario(
  "strings are read by the setting that a migration has changed, and again by the first one after it",
  {
    "0001_a": table("a"),
    "0002_b": migration({
      up: [
        "set standard_conforming_strings to off; set escape_string_warning to off",
        EITHER,
      ],
    }),
    "0003_c": migration({ up: EITHER }),
  },
  async (s) => {
    for (const mode of ["", " --no-pipeline"]) {
      assertEquals(
        (await s.run(`up${mode}`)).stderr,
        `\
${CONNECTED}Applying 0001_a (1 of 3)
Applying 0002_b (2 of 3)
Applying 0003_c (3 of 3)
error: Cannot apply "0003_c": ${ENDS}
Failed in T: nothing was changed, 3 not run
`,
      );
      assertEquals(await s.tables(), []);
    }
  },
);
