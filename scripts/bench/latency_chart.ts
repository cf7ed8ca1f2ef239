/**
 * How long each statement of live traffic took while something else was going on, as a picture that is readable on light and
 * on dark pages.
 *
 * @module
 */

/** A statement: when it began since the start of the run, and how long it took; milliseconds. */
export interface Sample {
  readonly at: number;
  readonly ms: number;
  readonly isRead: boolean;
}

export interface LatencyRun {
  readonly name: string;
  readonly samples: readonly Sample[];
}

const WIDTH = 860;
const LEFT = 60;
const RIGHT = 16;
const HEAD = 58;
const PANEL = 130;
const GAP = 46;

/** What the vertical axis shows, in milliseconds: each line is ten times the one below. */
const LINES = [1, 10, 100, 1_000, 10_000];
const MOST = 40_000;

const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #24292f; }
  .title { font-weight: 600; font-size: 15px; }
  .note { fill: #57606a; }
  .grid { stroke: #d0d7de; }
  .read { fill: #8c959f; }
  .update { fill: #0969da; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .note { fill: #9198a1; }
    .grid { stroke: #3d444d; }
    .read { fill: #9198a1; }
    .update { fill: #4493f8; }
  }`;

/** One panel for each run, all on the same scales. */
export function latencyChart(
  title: string,
  runs: readonly LatencyRun[],
): string {
  const last = Math.max(
    1,
    ...runs.flatMap(({ samples }) => samples.map(({ at, ms }) => at + ms)),
  );
  const height = HEAD + runs.length * (PANEL + GAP);
  const x = (ms: number) => LEFT + ms / last * (WIDTH - LEFT - RIGHT);
  const panels = runs.map((run, i) =>
    panel(run, HEAD + i * (PANEL + GAP) + 18, x, last)
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${
    escape(title)
  }">
<style>${STYLE}
</style>
<text class="title" x="0" y="18">${escape(title)}</text>
<circle class="update" cx="6" cy="36" r="3"/><text class="note" x="14" y="40">an update of a row</text>
<circle class="read" cx="146" cy="36" r="3"/><text class="note" x="154" y="40">a read of a row, at the time when it was sent</text>
${panels.join("\n")}
</svg>
`;
}

function panel(
  { name, samples }: LatencyRun,
  top: number,
  x: (ms: number) => number,
  last: number,
): string {
  const scale = Math.log10(MOST);
  const y = (ms: number) =>
    top + PANEL - Math.log10(Math.max(1, ms)) / scale * PANEL;
  const right = WIDTH - RIGHT;
  const lines = LINES.map((ms) =>
    `<line class="grid" x1="${LEFT}" y1="${round(y(ms))}" x2="${right}" y2="${
      round(y(ms))
    }"/>` +
    `<text class="note" x="${LEFT - 6}" y="${
      round(y(ms) + 4)
    }" text-anchor="end">${ms < 1_000 ? `${ms} ms` : `${ms / 1_000} s`}</text>`
  );
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) =>
    `<text class="note" x="${round(x(share * last))}" y="${
      top + PANEL + 16
    }" text-anchor="${share === 1 ? "end" : "middle"}">${
      Math.round(share * last / 1_000)
    } s</text>`
  );
  const dots = worst(samples, last).map(({ at, ms, isRead }) =>
    `<circle class="${isRead ? "read" : "update"}" cx="${round(x(at))}" cy="${
      round(y(ms))
    }" r="1.6"/>`
  );
  return [
    `<text x="0" y="${top - 6}">${escape(name.replaceAll("`", ""))}</text>`,
    ...lines,
    ...ticks,
    ...dots,
  ].join("\n");
}

/** Of reads and updates the slowest in each small part of the time: a picture of all of them would be megabytes. */
function worst(samples: readonly Sample[], last: number): Sample[] {
  const slot = last / 300;
  const found = new Map<string, Sample>();
  for (const sample of samples) {
    const key = `${sample.isRead} ${Math.floor(sample.at / slot)}`;
    if (sample.ms > (found.get(key)?.ms ?? -1)) found.set(key, sample);
  }
  return [...found.values()].toSorted((a, b) =>
    Number(b.isRead) - Number(a.isRead) || a.at - b.at
  );
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(
    '"',
    "&quot;",
  );
}
