/**
 * What happens, written to the outputs of this process.
 *
 * @module
 */
import type { OutputConfig } from "../cli/config.ts";
import type { Event } from "../report/events.ts";
import { render, type RenderOptions } from "../report/report.ts";
import { writeLine } from "./output.ts";

/** Writes events. */
export function reporter(
  config: OutputConfig,
  options: Pick<RenderOptions, "stream" | "hide">,
): (event: Event) => void {
  const color = config.color && config.format === "text" &&
    Deno.stdout.isTerminal() && Deno.stderr.isTerminal();
  const isTerminal = Deno.stdout.isTerminal();
  return (event) => {
    const at = new Date();
    // It may be made wider or narrower at any time. One that does not know how wide it is says 0.
    const columns = isTerminal ? Deno.consoleSize().columns : 0;
    const shown = {
      ...config,
      ...options,
      color,
      at,
      ...(columns > 0 && { columns }),
    };
    for (const line of render(event, shown)) writeLine(line);
  };
}
