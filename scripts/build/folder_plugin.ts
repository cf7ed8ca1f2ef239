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

/** What stands around an expression and changes nothing. */
const WRAPPERS = ["ChainExpression", "TSAsExpression", "TSNonNullExpression"];

const PLACES = ["url", "dirname", "filename", "resolve"];

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
          VariableDeclarator(node) {
            const { id, init } = node;
            if (init === null || id.type !== "ObjectPattern") return;
            const isDeno = isNamed(init, "Deno");
            if (!isDeno && !isNamed(init, "process")) return;
            for (const name of keysOf(id)) {
              if (name === "env") report(node, ENVIRONMENT);
              if (isDeno && FILE_FUNCTION.test(name ?? "")) {
                report(node, `file Deno.${name}`);
              }
            }
          },
          ImportExpression(node) {
            const { source } = node;
            if (source.type === "Literal") importing(node, source.value);
            // It is not known when the executable is built.
            else report(node, "file import(…)");
          },
          CallExpression(node) {
            const [first] = node.arguments;
            if (!isNamed(node.callee, "require")) return;
            if (first?.type === "Literal") importing(node, first.value);
            else report(node, "file require(…)");
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

/** What stands in an expression; the types of the linter's nodes do not all say that they have a parent. */
type Parented = Deno.lint.Node & { readonly parent: Deno.lint.Node };

/** What is read of `process.env`. */
function processNames(
  node: Deno.lint.MemberExpression,
): (string | undefined)[] {
  let value: Parented = node;
  while (WRAPPERS.includes(value.parent.type)) value = value.parent as Parented;
  const { parent } = value;
  if (parent.type === "MemberExpression" && parent.object === value) {
    return [propertyName(parent)];
  }
  return parent.type === "VariableDeclarator" &&
      parent.id.type === "ObjectPattern"
    ? keysOf(parent.id)
    : [undefined];
}

/** What a pattern takes; `undefined` for the rest, and for what the code does not show. */
function keysOf(
  { properties }: Deno.lint.ObjectPattern,
): (string | undefined)[] {
  return properties.map((one) =>
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
