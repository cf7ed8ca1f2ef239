/**
 * The values of the options of `plan`.
 *
 * @module
 */
import type { DownRequest, UpRequest } from "../plan/plan.ts";
import { quoteArgument } from "../text.ts";
import { type Checked, checked } from "./checked.ts";
import { type Options, readDown, readUp } from "./command_values.ts";

/** What `plan` is asked to forecast. */
export interface PlanCommand {
  readonly request:
    | { readonly direction: "up"; readonly up: UpRequest }
    | { readonly direction: "down"; readonly down: DownRequest };
  /** Whether an error, or what is not recorded, decides the exit code. */
  readonly strict: boolean;
  /** Whether the rows that are there are asked whether they satisfy what will be demanded of them. */
  readonly probe: boolean;
  /** Whether the text is Markdown. */
  readonly markdown: boolean;
}

export function readPlan(
  [word = "up"]: readonly string[],
  options: Options,
): Checked<PlanCommand> {
  const how = {
    strict: options.has("strict"),
    probe: options.has("probe"),
    markdown: options.get("format") === "markdown",
  };
  if (word === "down") {
    const { value: down, faults } = readDown(options);
    return checked(
      { request: { direction: "down", down }, ...how },
      ...faults,
      options.has("allow-out-of-order") &&
        "Option --allow-out-of-order does not belong to plan down",
    );
  }
  const { value: up, faults } = readUp(options);
  return checked(
    { request: { direction: "up", up }, ...how },
    word !== "up" &&
      `The command plan takes up or down, not ${quoteArgument(word)}`,
    ...faults,
    options.has("all") && "Option --all does not belong to plan up",
  );
}
