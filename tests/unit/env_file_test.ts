import { assertEquals, assertThrows } from "@std/assert";
import { mergeEnv, parseEnvFile } from "../../scripts/dev/env_file.ts";

Deno.test("parseEnvFile() reads bare, quoted and exported values", () => {
  const text = `\uFEFF# comment
A=1\r
export B = two words # comment
C='single "$X" \\n # kept'
D="line\\nbreak \\"quoted\\" \\$X # kept" # comment

  E=
F=a#b
G==c=d
H=# comment
I=''
`;
  assertEquals(parseEnvFile(text), {
    A: "1",
    B: "two words",
    C: 'single "$X" \\n # kept',
    D: 'line\nbreak "quoted" $X # kept',
    E: "",
    F: "a#b",
    G: "=c=d",
    H: "",
    I: "",
  });
});

Deno.test("parseEnvFile() names every line that it cannot read, and no value", () => {
  const text = `A=1
secret
2B=secret
C='secret
D="secret\\q"
E="secret" secret
A=secret
`;
  assertThrows(
    () => parseEnvFile(text),
    SyntaxError,
    'Cannot read ".env": line 2 is not NAME=value; line 3 is not NAME=value; ' +
      'line 4 ("C") has a quote or escape amiss; line 5 ("D") has a quote or escape amiss; ' +
      'line 6 ("E") has a quote or escape amiss; line 7 sets "A" again',
  );
});

Deno.test("mergeEnv() leaves what is set, and its choice between X and X_FILE", () => {
  const env = { A: "", DATABASE_URL: "env", PASSWORD_FILE: "env" };
  const file = {
    A: "file",
    B: "file",
    DATABASE_URL_FILE: "file",
    PASSWORD: "file",
    OTHER_FILE: "file",
  };
  assertEquals(mergeEnv(env, file), {
    A: "",
    B: "file",
    DATABASE_URL: "env",
    PASSWORD_FILE: "env",
    OTHER_FILE: "file",
  });
});
