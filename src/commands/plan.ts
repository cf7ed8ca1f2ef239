import type { Command } from "../cli/command.ts";
import { ExitCode, RefusedError } from "../errors.ts";
import { type Forecast, isClear } from "../insight/forecast_values.ts";
import { forecast } from "../insight/forecast.ts";
import { ownRates, type Taken } from "../insight/own_rates.ts";
import { plannedTimes } from "../insight/planned_times.ts";
import type { Answer, Probe, Probed } from "../insight/probe_values.ts";
import { probesOf } from "../insight/probes.ts";
import { namesToAsk } from "../insight/tables.ts";
import { planDown, planUp, type Step } from "../plan/plan.ts";
import type { Catalog } from "../engine/catalog_ports.ts";
import type { Session } from "../engine/ports.ts";
import { recordedPlan } from "../engine/recorded_plan.ts";
import { forecastJson, forecastLines } from "../report/forecast.ts";
import { forecastMarkdown } from "../report/forecast_markdown.ts";
import { databaseJson } from "../report/wording.ts";
import {
  accepted,
  assertBaselined,
  type Context,
  type Result,
  withSession,
} from "./context.ts";

/** How long all probes may take together; milliseconds. */
const PROBES_MS = 30_000;

type PlanRequest = Command & { readonly kind: "plan" };

/** Tells what a run would do to this database, and changes nothing. */
export async function plan(
  context: Context,
  command: PlanRequest,
): Promise<Result> {
  const { ports, config, program } = context;
  const { server, result } = await withSession(context, async (session) => {
    const { steps, warnings } = accepted(planned(context, command, session));
    for (const message of warnings) {
      ports.report({ event: "warning", message });
    }
    assertBaselined(context, session, steps);
    return {
      server: session.server,
      result: await forecastSteps(
        context,
        session,
        steps,
        await context.recording(),
        { probe: command.probe },
      ),
    };
  });
  ports.report({
    event: "forecast",
    lines: command.markdown ? forecastMarkdown(result) : forecastLines(result),
    value: {
      program: { ...program },
      database: databaseJson(server),
      transaction: config.transaction,
      ...forecastJson(result),
    },
  });
  return {
    exitCode: command.strict && !isClear(result)
      ? ExitCode.differs
      : ExitCode.done,
  };
}

/**
 * What the steps of a run would do here.
 *
 * @param recording of the migrations, in UTF-8; missing when nothing was recorded
 * @param options.probe whether the rows that are there are asked, too
 */
export async function forecastSteps(
  context: Context,
  session: Session,
  steps: readonly Step[],
  recording: Uint8Array | undefined,
  options = { probe: false },
): Promise<Forecast> {
  const { config } = context;
  if (session.server.schema === null) {
    throw new RefusedError([
      "Cannot tell what a run would do: there is no schema to work in",
    ]);
  }
  const recorded = recordedPlan(steps, recording);
  const catalog = await session.catalog();
  const found = await catalog.facts(namesToAsk(recorded));
  const grows = plannedTimes(recorded, found).size > 0;
  const facts = grows
    ? { ...found, rates: ownRates(await takenHere(session, catalog)) }
    : found;
  const probed = options.probe && recording !== undefined
    ? await probe(
      context,
      catalog,
      // An empty table satisfies everything.
      probesOf(recording, recorded, Number.parseInt(session.server.version))
        .filter(({ table }) => facts.tables.get(table)?.empty === false),
    )
    : undefined;
  return forecast(recorded, facts, config.transaction, probed);
}

/** What earlier runs were planned to work through here, and took. */
async function takenHere(
  { history, mayHavePlans }: Session,
  catalog: Catalog,
): Promise<Taken[]> {
  if (!mayHavePlans) return [];
  const plans = await catalog.plans();
  return history.flatMap(({ id, durationMs }) => {
    const planned = plans.get(id);
    return planned === undefined || durationMs === null
      ? []
      : [{ planned, durationMs }];
  });
}

/** Asks one question after the other, as long as there is time. */
async function probe(
  { ports }: Context,
  catalog: Catalog,
  probes: readonly Probe[],
): Promise<Probed[]> {
  const { clock } = ports;
  const deadline = clock.now() + PROBES_MS;
  const probed: Probed[] = [];
  for (const one of probes) {
    const answer: Answer = clock.now() < deadline
      ? await catalog.probe(one)
      : { outcome: "unknown", reason: "the 30 s for all questions are over" };
    probed.push({ ...one, ...answer });
  }
  return probed;
}

function planned(
  { migrations, config }: Context,
  { request }: PlanRequest,
  { history }: Session,
): ReturnType<typeof planUp> {
  return request.direction === "up"
    ? planUp(migrations, history, { ...request.up, phase: config.phase })
    : planDown(migrations, history, request.down);
}
