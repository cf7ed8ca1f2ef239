/**
 * What happens, written to the outputs of this process.
 *
 * @module
 */
import type { Config } from "../cli/config.ts";
import type { Event } from "../report/events.ts";
import { render, type RenderOptions } from "../report/report.ts";
import { writeLine } from "./output.ts";

/** Writes events. */
export function reporter(
  config: Config,
  options: Pick<RenderOptions, "stream" | "hide">,
): (event: Event) => void {
  const color = config.color && config.format === "text" &&
    Deno.stdout.isTerminal() && Deno.stderr.isTerminal();
  return (event) => {
    const at = new Date();
    for (const line of render(event, { ...config, ...options, color, at })) {
      writeLine(line);
    }
  };
}
