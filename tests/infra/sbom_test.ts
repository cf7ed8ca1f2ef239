/**
 * The bill of materials: valid, complete, and the same for the same commit.
 */
import { assertEquals, assertRejects } from "@std/assert";
import { billOfMaterials, sbom } from "../../scripts/build/sbom.ts";
import { VERSION } from "../../src/cli/version.ts";
import { testWith } from "../support/program/needs.ts";
import { runValidator } from "../support/k8s/validators.ts";

/** The time in it is the commit's. */
const test = testWith("git");

test("the bill of materials satisfies CycloneDX's schema", async () => {
  const text = await sbom();
  const wrong = text.replace('"version": 1,', '"version": "one",');
  const { code, stdout, stderr } = await runValidator(
    `import "ajv"; import "ajv-formats"; import "ajv-formats-draft2019";
     import { Spec, Validation } from "@cyclonedx/cyclonedx-library";
     const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6);
     const texts: string[] = ${JSON.stringify([text, wrong])};
     for (const text of texts) console.log(JSON.stringify(await validator.validate(text)));`,
  );
  assertEquals(code, 0, stderr);
  const [faults, wrongFaults] = stdout.trim().split("\n").map((line) =>
    JSON.parse(line)
  );
  assertEquals(faults, null);
  assertEquals(wrongFaults[0].instancePath, "/version");
});

test("the bill of materials has what the program is made of, with the checksums of the lock file, and nothing else", async () => {
  const bill = JSON.parse(await sbom("1.2.3"));
  const lock = JSON.parse(await Deno.readTextFile("deno.lock")).npm;
  const hash = (name: string) => {
    const key = Object.keys(lock).find((key) => key.startsWith(`${name}@`));
    const { integrity } = lock[key!];
    return Uint8Array.fromBase64(integrity.replace("sha512-", "")).toHex();
  };
  assertEquals(bill.metadata.component.version, VERSION);
  assertEquals(
    bill.components.map((
      { name, hashes }: { name: string; hashes?: { content: string }[] },
    ) => [name, hashes?.[0]?.content]),
    [
      ["deno", undefined],
      ...["deno-std", "kysely-postgres-js", "kysely", "postgres"].map(
        (name) => [name, hash(name)],
      ),
    ],
  );
  assertEquals(bill.components[0].version, "1.2.3");
});

test("the bill of materials depends on its content alone", async () => {
  assertEquals(await sbom(), await sbom());
  const input = {
    version: "1.0.0",
    deno: "2.0.0",
    time: new Date(0),
    packages: [],
    direct: [],
  };
  const [first, second] = await Promise.all([
    billOfMaterials(input),
    billOfMaterials({ ...input, version: "1.0.1" }),
  ]);
  assertEquals(first.serialNumber === second.serialNumber, false);
});

Deno.test("a dependency that is not listed is an error, not a gap", async () => {
  const error = await assertRejects(() =>
    billOfMaterials({
      version: "1.0.0",
      deno: "2.0.0",
      time: new Date(0),
      packages: [],
      direct: ["left-pad@1.0.0"],
    })
  );
  assertEquals(
    (error as Error).message,
    'Cannot write the bill of materials: "left-pad@1.0.0" is unknown',
  );
});
