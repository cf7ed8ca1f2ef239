/**
 * What happens, written to the outputs of this process.
 *
 * @module
 */
import type { OutputConfig } from "../cli/config.ts";
import type { Event } from "../report/events.ts";
import { render, type RenderOptions } from "../report/report.ts";
import type { HiddenText } from "../text.ts";
import { textsGiven, writeLine } from "./output.ts";

/** Up by a line, which is emptied (ECMA-48, CUU and EL). */
const OVER = "\u001b[1A\u001b[2K";

/** How wide a terminal is taken to be that does not know it. */
const USUAL_COLUMNS = 80;

/** Writes events. */
export function reporter(
  config: OutputConfig,
  options: Pick<RenderOptions, "stream" | "hide">,
): (event: Event) => void {
  const color = config.color && config.format === "text" &&
    Deno.stdout.isTerminal() && Deno.stderr.isTerminal();
  const isTerminal = Deno.stdout.isTerminal();
  const redraws = config.color && config.format === "text" &&
    Deno.stderr.isTerminal();
  /** How many texts there were when the last line of progress was written; nothing once there is another one. */
  let drawn: number | undefined;
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
    const isProgress = event.event === "backfill_progress";
    for (const line of render(event, shown)) {
      // What is the last line on a terminal is written over; a log keeps all of them.
      const isOver = isProgress && drawn === textsGiven();
      writeLine(isOver ? { ...line, text: over(line.text) } : line);
      // One that the terminal has broken is more than the line above.
      const fits = redraws && isProgress &&
        line.text.length < (Deno.consoleSize().columns || USUAL_COLUMNS);
      drawn = fits ? textsGiven() : undefined;
    }
  };
}

/** The text in place of the line above. */
function over(text: HiddenText): HiddenText {
  return `${OVER}${text}` as HiddenText;
}
