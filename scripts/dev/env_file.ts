/**
 * The variables of a `.env` file.
 *
 * @module
 */

const LINE = /^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)$/s;
const ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  r: "\r",
  t: "\t",
  '"': '"',
  "\\": "\\",
  "$": "$",
};

/**
 * Reads `NAME=value` lines: with or without `export`, the value bare, in single quotes (as it is) or in double quotes
 * (with `\n`, `\"` and the like). `#` begins a comment. Nothing is expanded.
 *
 * @throws {SyntaxError} naming every line that is not one. Values may be secrets, so none is shown.
 */
export function parseEnvFile(text: string): Record<string, string> {
  const variables: Record<string, string> = {};
  const faults: string[] = [];
  const lines = text.replace(/^\uFEFF/, "").split(/\r\n?|\n/);
  for (const [index, line] of lines.entries()) {
    const content = line.trim();
    if (content === "" || content.startsWith("#")) continue;
    const [, name, rest = ""] = LINE.exec(content) ?? [];
    const value = name === undefined ? undefined : parseValue(rest);
    if (name === undefined) {
      faults.push(`line ${index + 1} is not NAME=value`);
    } else if (value === undefined) {
      faults.push(`line ${index + 1} ("${name}") has a quote or escape amiss`);
    } else if (Object.hasOwn(variables, name)) {
      faults.push(`line ${index + 1} sets "${name}" again`);
    } else {
      variables[name] = value;
    }
  }
  if (faults.length > 0) {
    throw new SyntaxError(`Cannot read ".env": ${faults.join("; ")}`);
  }
  return variables;
}

/**
 * Adds what a file says to an environment, which goes first: a variable that is set stays, and so does the choice
 * between `X` and `X_FILE`.
 */
export function mergeEnv(
  env: Readonly<Record<string, string>>,
  file: Readonly<Record<string, string>>,
): Record<string, string> {
  const isSet = (name: string) => Object.hasOwn(env, name);
  const added = Object.entries(file).filter(([name]) =>
    !isSet(name) && !isSet(`${name}_FILE`) && !isSet(name.replace(/_FILE$/, ""))
  );
  return { ...env, ...Object.fromEntries(added) };
}

/** The value in the rest of a line, without quotes and comment; nothing if it cannot be read. */
function parseValue(rest: string): string | undefined {
  const quoted = /^(?:'([^']*)'|"((?:[^"\\]|\\.)*)")\s*(?:#.*)?$/.exec(rest);
  if (quoted) {
    const [, literal, escaped = ""] = quoted;
    return literal ?? unescape(escaped);
  }
  if (/^['"]/.test(rest)) return undefined;
  return rest.replace(/(?:^|\s)#.*$/, "").trim();
}

function unescape(text: string): string | undefined {
  let known = true;
  const value = text.replace(/\\(.)/g, (_, letter: string) => {
    known &&= letter in ESCAPES;
    return ESCAPES[letter] ?? "";
  });
  return known ? value : undefined;
}
