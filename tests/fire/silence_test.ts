/** Networks that swallow or garble everything and stay open: only a deadline of the program's own ends the wait. */
import { battlescopeCutTest } from "../support/program/battlescope_cuts.ts";
import { someCuts } from "../support/program/cuts.ts";

const TIMEOUTS = ["--connect-timeout=3s", "--lock-timeout=3s"];

battlescopeCutTest(
  "up in one transaction survives a network that falls silent",
  {
    direction: "up",
    command: ["up", ...TIMEOUTS],
    cuts: someCuts,
    lanes: 8,
  },
);

battlescopeCutTest(
  "up in many transactions survives a network that falls silent in a commit",
  {
    direction: "up",
    command: ["up", "--transaction=each", ...TIMEOUTS],
    cuts: (requests) =>
      someCuts(requests).filter(({ request }) =>
        requests[request - 1] === "commit"
      ),
    lanes: 4,
  },
);
