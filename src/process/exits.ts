/**
 * The ways to end this process, which are the program's alone.
 *
 * @module
 */
import process from "node:process";

/** `kill(pid, 0)` only asks whether there is such a process. */
const NO_SIGNAL = 0;

/** A function that can end this process. */
interface Exit {
  readonly owner: object;
  readonly name: string;
  /** As people write it. */
  readonly said: string;
  /** Whether it would, called so. @default {always} */
  readonly ends?: (...args: unknown[]) => boolean;
}

/** Those with another name than the one that is said are what is called behind `import { exit } from "node:process"`. */
const EXITS: readonly Exit[] = [
  { owner: Deno, name: "exit", said: "Deno.exit" },
  { owner: Deno, name: "kill", said: "Deno.kill", ends: killsThis },
  { owner: globalThis, name: "close", said: "globalThis.close" },
  { owner: process, name: "exit", said: "process.exit" },
  { owner: process, name: "reallyExit", said: "process.exit" },
  { owner: process, name: "abort", said: "process.abort" },
  { owner: process, name: "kill", said: "process.kill", ends: killsThis },
  { owner: process, name: "_kill", said: "process.kill", ends: killsThis },
];

/**
 * From now on whoever would end the process is refused: the call throws what `refusal` makes of its text, `Deno.exit(0)`.
 *
 * @returns what ends that
 */
export function refuseExits(refusal: (call: string) => Error): () => void {
  const undo = EXITS.map((exit) => refuse(exit, refusal));
  // At the very end their listeners could still set another exit code.
  addEventListener("unload", (event) => event.stopImmediatePropagation());
  return () => undo.forEach((one) => one());
}

function refuse(
  { owner, name, said, ends = () => true }: Exit,
  refusal: (call: string) => Error,
): () => void {
  const property = Object.getOwnPropertyDescriptor(owner, name)!;
  Object.defineProperty(owner, name, {
    configurable: true,
    enumerable: true,
    writable: true,
    value: (...args: unknown[]) => {
      if (ends(...args)) {
        const shown = args.map((one) => Deno.inspect(one)).join(", ");
        throw refusal(`${said}(${shown})`);
      }
      // Deno loads some of its functions when they are asked for, which is not before here.
      const original = property.get?.call(owner) ?? property.value;
      return Reflect.apply(original, owner, args);
    },
  });
  return () => Object.defineProperty(owner, name, property);
}

/** The exit code that somebody has set for the end of the process, if it is not that of success; it is taken back. */
export function takeExitCode(): number | undefined {
  const code = Deno.exitCode;
  if (code === 0) return undefined;
  Deno.exitCode = 0;
  return code;
}

/** Whether a signal to `pid` is one to this process: to it, to its group, or to everybody. */
function killsThis(pid: unknown, signal?: unknown): boolean {
  return signal !== NO_SIGNAL &&
    [Deno.pid, -Deno.pid, 0, -1].includes(Number(pid));
}
