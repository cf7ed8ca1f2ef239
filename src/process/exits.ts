/**
 * The ways to end this process, which are the program's alone.
 *
 * @module
 */
import process from "node:process";

/** `kill(pid, 0)` only asks whether there is such a process. */
const NO_SIGNAL = 0;

/**
 * From now on whoever would end the process is refused: the call throws what `refusal` makes of its text, `Deno.exit(0)`.
 *
 * @returns what ends that
 */
export function refuseExits(refusal: (call: string) => Error): () => void {
  const undo = [
    replace(Deno, "Deno", "exit"),
    ...["exit", "reallyExit", "abort"].map((name) =>
      replace(process, "process", name)
    ),
    replace(globalThis, "globalThis", "close"),
    replace(Deno, "Deno", "kill", endsThis),
    replace(process, "process", "kill", endsThis),
    replace(process, "process", "_kill", endsThis),
  ];
  // At the very end their listeners could still set another exit code.
  addEventListener("unload", (event) => event.stopImmediatePropagation());
  return () => undo.forEach((one) => one());

  function replace(
    owner: object,
    ownerName: string,
    name: string,
    applies: (...args: unknown[]) => boolean = () => true,
  ): () => void {
    const property = Object.getOwnPropertyDescriptor(owner, name);
    if (property === undefined) return () => {};
    Object.defineProperty(owner, name, {
      configurable: true,
      enumerable: true,
      writable: true,
      value: (...args: unknown[]) => {
        if (!applies(...args)) {
          // Deno loads some of its functions when they are asked for, which is not before here.
          const original = property.get?.call(owner) ?? property.value;
          return Reflect.apply(original, owner, args);
        }
        throw refusal(`${ownerName}.${name}(${args.map(shown).join(", ")})`);
      },
    });
    return () => Object.defineProperty(owner, name, property);
  }
}

/** The exit code that somebody has set for the end of the process, if it is not that of success; it is taken back. */
export function takeExitCode(): number | undefined {
  const code = Deno.exitCode;
  if (code === 0) return undefined;
  Deno.exitCode = 0;
  return code;
}

/** Whether a signal to `pid` is one to this process: to it, to its group, or to everybody. */
function endsThis(pid: unknown, signal?: unknown): boolean {
  return signal !== NO_SIGNAL &&
    [Deno.pid, -Deno.pid, 0, -1].includes(Number(pid));
}

function shown(argument: unknown): string {
  return Deno.inspect(argument);
}
