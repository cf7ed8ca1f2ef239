import type { Command } from "../cli/command.ts";
import { ExitCode, RefusedError } from "../errors.ts";
import { currentRows } from "../plan/history.ts";
import { quoteValue } from "../text.ts";
import {
  assertWritable,
  type Context,
  type Result,
  withSession,
} from "./context.ts";

const DEED = { pause: "pause", resume: "resume", set: "set" } as const;

/** Tells a backfill that has begun what to do; whoever works on it obeys before its next batch. */
export function backfill(
  context: Context,
  { name, request }: Command & { kind: "backfill" },
): Promise<Result> {
  return withSession(context, async (session) => {
    const row = currentRows(session.history).get(name);
    const refuse = (why: string) => {
      throw new RefusedError([
        `Cannot ${DEED[request.action]} ${quoteValue(name)}: ${why}`,
      ]);
    };
    if (row === undefined) refuse("the history has no row of it");
    if (row!.status !== "running") {
      refuse(`it is no backfill at work, the history says ${row!.status}`);
    }
    assertWritable(session);
    const isOpen = await session.transaction(async (work) =>
      await (await work.backfill()).control(row!.id, request)
    );
    if (!isOpen) refuse("it is no backfill");
    context.ports.report({
      event: "backfill_controlled",
      migration: name,
      ...request,
    });
    return { exitCode: ExitCode.done };
  });
}
