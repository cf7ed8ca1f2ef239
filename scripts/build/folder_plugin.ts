/**
 * A plugin for Deno's linter that finds what a migration reads from its surroundings: they are others in the executable.
 *
 * @module
 */

/** Where it is found in what the linter says. */
export const READS_RULE = "folder/reads";

/** `environment NAME`, `environment` when the code does not show the name, or `file WHAT`. */
const ENVIRONMENT = "environment";

/** Modules that read files. */
const FILE_MODULE = /^(?:node:)?fs(?:\/promises)?$/;

/** Functions of `Deno` that do. */
const FILE_FUNCTION = /^(?:read|open|stat|lstat|realPath|writeFile|writeText)/;

const PLACES = ["url", "dirname", "filename"];

const plugin: Deno.lint.Plugin = {
  name: "folder",
  rules: {
    reads: {
      create(context) {
        const report = (node: Deno.lint.Node, message: string) =>
          context.report({ node, message });
        const importing = (node: Deno.lint.Node, source: unknown) => {
          if (FILE_MODULE.test(String(source))) report(node, `file ${source}`);
        };
        return {
          MemberExpression(node) {
            const { object } = node;
            const name = propertyName(node);
            if (object.type === "MetaProperty" && PLACES.includes(name ?? "")) {
              report(node, `file import.meta.${name}`);
            }
            if (isNamed(object, "Deno") && FILE_FUNCTION.test(name ?? "")) {
              report(node, `file Deno.${name}`);
            }
            if (name !== "env") return;
            const names = isNamed(object, "process")
              ? processNames(node)
              : isNamed(object, "Deno")
              ? denoNames(node)
              : [];
            for (const one of names) {
              report(
                node,
                one === undefined ? ENVIRONMENT : `${ENVIRONMENT} ${one}`,
              );
            }
          },
          Identifier(node) {
            if (node.name === "__dirname" || node.name === "__filename") {
              report(node, `file ${node.name}`);
            }
          },
          ImportDeclaration(node) {
            if (node.importKind === "type") return;
            const { value } = node.source;
            importing(node, value);
            const takesEnv = node.specifiers.some((one) =>
              one.type === "ImportSpecifier" &&
              one.imported.type === "Identifier" && one.imported.name === "env"
            );
            if (/^(?:node:)?process$/.test(String(value)) && takesEnv) {
              report(node, ENVIRONMENT);
            }
          },
          ImportExpression(node) {
            if (node.source.type === "Literal") {
              importing(node, node.source.value);
            }
          },
          CallExpression(node) {
            const [first] = node.arguments;
            if (isNamed(node.callee, "require") && first?.type === "Literal") {
              importing(node, first.value);
            }
          },
        };
      },
    },
  },
};

export default plugin;

/** Whether it is a global of that name. */
function isNamed(node: Deno.lint.Node, name: string): boolean {
  return node.type === "Identifier"
    ? node.name === name
    : node.type === "MemberExpression" && isNamed(node.object, "globalThis") &&
      propertyName(node) === name;
}

/** The name of the property, if the code shows it. */
function propertyName(node: Deno.lint.MemberExpression): string | undefined {
  const { property, computed } = node;
  if (!computed && property.type === "Identifier") return property.name;
  return property.type === "Literal" ? String(property.value) : undefined;
}

/** What is read of `process.env`. */
function processNames(
  node: Deno.lint.MemberExpression,
): (string | undefined)[] {
  const { parent } = node;
  if (parent.type === "MemberExpression" && parent.object === node) {
    return [propertyName(parent)];
  }
  if (
    parent.type !== "VariableDeclarator" || parent.id.type !== "ObjectPattern"
  ) return [undefined];
  return parent.id.properties.map((one) =>
    one.type === "Property" && one.key.type === "Identifier" && !one.computed
      ? one.key.name
      : undefined
  );
}

/** What is read of `Deno.env`. */
function denoNames(node: Deno.lint.MemberExpression): (string | undefined)[] {
  const { parent } = node;
  if (
    parent.type !== "MemberExpression" ||
    !["get", "has"].includes(propertyName(parent) ?? "")
  ) return [undefined];
  const call = parent.parent;
  if (call.type !== "CallExpression") return [undefined];
  const [name] = call.arguments;
  return [name?.type === "Literal" ? String(name.value) : undefined];
}
