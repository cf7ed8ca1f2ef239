/**
 * Processes of the benchmark: those that must succeed, and those that are measured.
 *
 * @module
 */

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** What a run took. */
export interface Cost {
  readonly wallMs: number;
  /** User and system time of the process and of those that it waited for. */
  readonly cpuMs: number;
  /** The largest resident set of a single process. */
  readonly peakMiB: number;
}

/** After this a run is ended, in seconds. */
const LIMIT_S = 600;

/**
 * `bash` knows the times to the millisecond, `/usr/bin/time` the memory. In between there is a small process, because
 * Linux counts the memory of a parent as its child's.
 */
const MEASURED = `TIMEFORMAT='%3R %3U %3S'
{ time /usr/bin/time --quiet --format=%M --output="$0/peak" "$@" >"$0/stdout" 2>"$0/stderr"; } 2>"$0/times"`;

/** Runs a command that must succeed and returns what it wrote to its standard output. */
export async function run(
  [program, ...args]: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program!, {
    args,
    ...options,
    stdin: "null",
  }).output();
  const [said, complaint] = [stdout, stderr].map((bytes) =>
    new TextDecoder().decode(bytes)
  );
  if (success) return said!;
  throw new Error(
    `Cannot run "${[program, ...args].join(" ").slice(0, 200)}": ${
      (complaint || said)!.trim().slice(-2_000)
    }`,
  );
}

/** Runs a command that must succeed, in an environment of its own, and returns what it took. */
export async function measure(
  command: readonly string[],
  { cwd, env = {} }: RunOptions,
  folder: string,
): Promise<Cost> {
  const { code } = await new Deno.Command("timeout", {
    args: [`${LIMIT_S}`, "bash", "-c", MEASURED, folder, ...command],
    ...(cwd === undefined ? {} : { cwd }),
    clearEnv: true,
    env: { ...environment(folder), ...env },
    stdin: "null",
  }).output();
  const read = async (name: string) =>
    (await Deno.readTextFile(`${folder}/${name}`)).trim();
  if (code !== 0) {
    throw new Error(
      `"${command.join(" ")}" ended with ${code}: ${
        `${await read("stderr")}\n${await read("stdout")}`.trim().slice(-2_000)
      }`,
    );
  }
  const [wall, user, system] = (await read("times")).split(" ").map(Number);
  return {
    wallMs: wall! * 1_000,
    cpuMs: (user! + system!) * 1_000,
    peakMiB: Number(await read("peak")) / 1_024,
  };
}

/** What a program finds: nothing of the user's own settings. */
function environment(folder: string): Record<string, string> {
  const kept = ["PATH", "DENO_DIR", "XDG_CACHE_HOME"];
  return {
    ...Object.fromEntries(
      kept.flatMap((name) => {
        const value = Deno.env.get(name);
        return value === undefined ? [] : [[name, value]];
      }),
    ),
    HOME: Deno.env.get("HOME") ?? folder,
    LANG: "C.UTF-8",
    NO_COLOR: "1",
    NODE_NO_WARNINGS: "1",
  };
}
