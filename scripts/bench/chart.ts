/**
 * The results as a picture: bars, one group for each question, readable on light and on dark pages.
 *
 * @module
 */
import type { Series } from "./series.ts";
import { median } from "./statistics.ts";
import { OURS } from "./tools.ts";

const WIDTH = 860;
const LABEL = 235;
const BAR = 18;
const GAP = 6;
const VALUE = 80;
const HEAD = 52;

const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #24292f; }
  .title { font-weight: 600; font-size: 15px; }
  .note { fill: #57606a; }
  .ours { font-weight: 600; }
  rect { fill: #afb8c1; }
  rect.ours { fill: #0969da; }
  rect.floor { fill: none; stroke: #afb8c1; stroke-dasharray: 4 3; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .note { fill: #9198a1; }
    rect { fill: #6e7681; }
    rect.ours { fill: #4493f8; }
    rect.floor { stroke: #6e7681; }
  }`;

interface Bar {
  readonly name: string;
  readonly ms: number;
}

/** A group of bars for each series of the largest work; the way to run from source is for developers, and left out. */
export function chart(all: readonly Series[]): string {
  const whole = all.filter(({ work }) => work.endsWith("migrations"));
  const largest = whole.at(-1)?.work;
  const series = whole.filter(({ work }) => work === largest);
  let y = 10;
  const groups = series.map((one) => {
    const { text, height } = group(one, y);
    y += height;
    return text;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img" aria-label="Time of each migrator">
<style>${STYLE}
</style>
${groups.join("\n")}
</svg>
`;
}

function group(
  { task, work, roundTripMs, measured }: Series,
  top: number,
): { text: string; height: number } {
  const bars = measured.map(({ tool, samples }): Bar => ({
    name: tool.name,
    ms: median(samples.map(({ wallMs }) => wallMs)),
  })).filter(({ name }) => !name.includes("from source"))
    .sort((a, b) => a.ms - b.ms);
  const longest = Math.max(...bars.map(({ ms }) => ms));
  const scale = (WIDTH - LABEL - VALUE) / longest;
  const where = roundTripMs === 0
    ? "on loopback"
    : `with ${roundTripMs} ms of network round trip`;
  const title = `${task[0]!.toUpperCase()}${task.slice(1)}, ${work}`;
  const lines = bars.map((bar, i) =>
    line(bar, top + HEAD + i * (BAR + GAP), scale)
  );
  const height = HEAD + bars.length * (BAR + GAP) + 18;
  return {
    text: [
      `<text class="title" x="0" y="${top + 16}">${title}</text>`,
      `<text class="note" x="0" y="${
        top + 35
      }">${where}; shorter is better</text>`,
      ...lines,
    ].join("\n"),
    height,
  };
}

function line({ name, ms }: Bar, y: number, scale: number): string {
  const kind = name === OURS
    ? ` class="ours"`
    : /^(?:psql|an? )/.test(name)
    ? ` class="floor"`
    : "";
  const width = Math.max(1, ms * scale);
  const middle = y + BAR / 2 + 4.5;
  const own = name === OURS ? ` class="ours"` : "";
  return [
    `<text${own} x="${
      LABEL - 10
    }" y="${middle}" text-anchor="end">${name}</text>`,
    `<rect${kind} x="${LABEL}" y="${y}" width="${
      width.toFixed(1)
    }" height="${BAR}" rx="2"/>`,
    `<text${own} x="${(LABEL + width + 8).toFixed(1)}" y="${middle}">${
      duration(ms)
    }</text>`,
  ].join("");
}

function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1_000;
  return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
}
