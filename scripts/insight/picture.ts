/**
 * The tables of a schema as a picture: places and lines by ELK, the drawing is our own.
 *
 * @module
 */
import ELK from "elkjs/lib/elk.bundled.js";
import type { Relation, SchemaModel } from "../../src/report/schema/model.ts";

/** Of a monospaced letter of this size, in pixels, rounded up: fonts differ a little. */
const LETTER = 7.3;
const FONT = 12;
const ROW = 20;
const HEAD = 28;
const PADDING = 12;
const GAP = 28;
const MARGIN = 16;

interface Point {
  readonly x: number;
  readonly y: number;
}

/** What ELK gives back. */
interface Layout {
  readonly width: number;
  readonly height: number;
  readonly children: readonly (Point & {
    readonly id: string;
    readonly width: number;
    readonly height: number;
  })[];
  readonly edges: readonly {
    readonly id: string;
    readonly sections: readonly {
      readonly startPoint: Point;
      readonly endPoint: Point;
      readonly bendPoints?: readonly Point[];
    }[];
  }[];
}

const OPTIONS = {
  "elk.algorithm": "layered",
  "elk.direction": "RIGHT",
  "elk.edgeRouting": "ORTHOGONAL",
  "elk.aspectRatio": "1.5",
  "elk.spacing.nodeNode": "28",
  "elk.spacing.componentComponent": "40",
  "elk.layered.spacing.nodeNodeBetweenLayers": "64",
  "elk.layered.spacing.edgeNodeBetweenLayers": "16",
  "elk.layered.spacing.edgeEdgeBetweenLayers": "14",
  "elk.layered.nodePlacement.strategy": "NETWORK_SIMPLEX",
  "elk.randomSeed": "1",
};

/** An SVG of the tables, without partitions; foreign keys are lines from the column to what it refers to. */
export async function picture({ relations }: SchemaModel): Promise<string> {
  const tables = relations.filter(({ type, parents }) =>
    type === "table" && parents.length === 0
  );
  const keys = tables.flatMap((table) =>
    table.constraints.filter(({ type, references }) =>
      type === "foreign key" && tables.some(({ name }) => name === references)
    ).map((key) => ({ table, key }))
  );
  const graph = {
    id: "schema",
    layoutOptions: OPTIONS,
    children: tables.map((table) => ({
      id: table.name,
      ...sizeOf(table),
      layoutOptions: { "elk.portConstraints": "FIXED_POS" },
      ports: table.columns.flatMap(({ name }, i) => {
        const y = HEAD + ROW * i + ROW / 2;
        return [
          port(`${table.name}.${name} in`, "WEST", 0, y),
          port(`${table.name}.${name} out`, "EAST", sizeOf(table).width, y),
        ];
      }),
    })),
    edges: keys.map(({ table, key }) => ({
      id: `${table.name}.${key.name}`,
      sources: [`${key.references}.${key.referencedColumns?.[0]} out`],
      targets: [`${table.name}.${key.columns?.[0]} in`],
    })),
  };
  const elk = new (ELK as unknown as new () => {
    layout(graph: unknown): Promise<unknown>;
  })();
  return svg(tables, await elk.layout(graph) as Layout);
}

function port(id: string, side: string, x: number, y: number) {
  return {
    id,
    x,
    y,
    width: 0,
    height: 0,
    layoutOptions: { "elk.port.side": side },
  };
}

function sizeOf(table: Relation): { width: number; height: number } {
  const names = longest(table.columns.map(({ name }) => name));
  const types = longest(table.columns.map(typeText));
  const letters = Math.max(names + types, table.name.length);
  return {
    width: Math.ceil(letters * LETTER) + 2 * PADDING + GAP,
    height: HEAD + ROW * table.columns.length + 6,
  };
}

function longest(texts: readonly string[]): number {
  return Math.max(0, ...texts.map((text) => text.length));
}

/** The names that people write. */
const SHORT: readonly (readonly [RegExp, string])[] = [
  [/^timestamp(\(\d\))? with time zone/, "timestamptz$1"],
  [/^timestamp(\(\d\))? without time zone/, "timestamp$1"],
  [/^character varying/, "varchar"],
  [/^double precision/, "float8"],
];

function typeText(
  { type, notNull }: Relation["columns"][number],
): string {
  const short = SHORT.reduce(
    (text, [long, short]) => text.replace(long, short),
    type,
  );
  return notNull ? short : `${short}?`;
}

const STYLE = `
  text { font: ${FONT}px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #1f2328; }
  .name { font-weight: 600; }
  .type { fill: #656d76; text-anchor: end; }
  .key { font-weight: 600; fill: #9a6700; }
  .refers { fill: #0969da; }
  .ground { fill: #ffffff; }
  .table { fill: #ffffff; stroke: #afb8c1; }
  .head { fill: #eaeef2; }
  .line { fill: none; stroke: #0969da; stroke-width: 1.3; opacity: 0.8; }
  .end { fill: #0969da; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .type { fill: #8d96a0; }
    .key { fill: #d29922; }
    .refers { fill: #4493f8; }
    .ground { fill: #0d1117; }
    .table { fill: #161b22; stroke: #3d444d; }
    .head { fill: #21262d; }
    .line { stroke: #4493f8; }
    .end { fill: #4493f8; }
  }
`;

function svg(tables: readonly Relation[], layout: Layout): string {
  const width = Math.ceil(layout.width + 2 * MARGIN);
  const height = Math.ceil(layout.height + 2 * MARGIN);
  const lines = layout.edges.flatMap(({ sections }) =>
    sections.flatMap(({ startPoint, bendPoints = [], endPoint }) => [
      `<path class="line" d="${
        rounded([startPoint, ...bendPoints, endPoint])
      }"/>`,
      `<circle class="end" cx="${round(endPoint.x)}" cy="${
        round(endPoint.y)
      }" r="3"/>`,
    ])
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${-MARGIN} ${-MARGIN} ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="The tables of the schema">
<!-- Made by deno task insight from the migrations; do not edit. -->
<style>${STYLE}</style>
<rect class="ground" x="${-MARGIN}" y="${-MARGIN}" width="${width}" height="${height}"/>
${lines.join("\n")}
${
    tables.map((table) =>
      box(table, layout.children.find(({ id }) => id === table.name)!)
    ).join("\n")
  }
</svg>
`;
}

function box(
  table: Relation,
  { x, y, width, height }: Layout["children"][number],
): string {
  const isIn = (name: string, type: string) =>
    table.constraints.some((one) =>
      one.type === type && one.columns?.includes(name)
    );
  const rows = table.columns.map((column, i) => {
    const at = HEAD + ROW * i + ROW / 2 + 4;
    const kind = isIn(column.name, "primary key")
      ? ' class="key"'
      : isIn(column.name, "foreign key")
      ? ' class="refers"'
      : "";
    return `<text x="${PADDING}" y="${at}"${kind}>${
      escaped(column.name)
    }</text>` +
      `<text class="type" x="${width - PADDING}" y="${at}">${
        escaped(typeText(column))
      }</text>`;
  });
  return `<g transform="translate(${round(x)} ${round(y)})">
<rect class="table" width="${width}" height="${height}" rx="6"/>
<path class="head" d="M1 ${HEAD - 4}V6a5 5 0 0 1 5-5H${
    width - 6
  }a5 5 0 0 1 5 5V${HEAD - 4}Z"/>
<text class="name" x="${PADDING}" y="17">${escaped(table.name)}</text>
${rows.join("\n")}
</g>`;
}

/** A line of right angles with soft corners. */
function rounded(points: readonly Point[]): string {
  const [first, ...rest] = points;
  let d = `M${round(first!.x)} ${round(first!.y)}`;
  for (const [i, point] of rest.entries()) {
    const next = rest[i + 1];
    const before = points[i]!;
    if (next === undefined) {
      d += `L${round(point.x)} ${round(point.y)}`;
      continue;
    }
    const [from, to] = [toward(point, before), toward(point, next)];
    d += `L${round(from.x)} ${round(from.y)}Q${round(point.x)} ${
      round(point.y)
    } ${round(to.x)} ${round(to.y)}`;
  }
  return d;
}

/** A little way from a corner to another point. */
function toward(corner: Point, other: Point): Point {
  const length = Math.hypot(other.x - corner.x, other.y - corner.y);
  const part = length === 0 ? 0 : Math.min(6, length / 2) / length;
  return {
    x: corner.x + (other.x - corner.x) * part,
    y: corner.y + (other.y - corner.y) * part,
  };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")
    .replaceAll(/\p{Cc}/gu, " ");
}
