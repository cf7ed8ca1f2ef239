/** Networks that swallow or garble everything and stay open: only a deadline of the program's own ends the wait. */
import { cutTest, someCuts } from "../support/cuts.ts";

const ARGS = ["--connect-timeout=1s", "--lock-timeout=1s"];

cutTest("up --transaction all survives a network that falls silent", {
  transaction: "all",
  cuts: someCuts,
  args: ARGS,
  lanes: 8,
});

cutTest("up --transaction each survives a network that falls silent", {
  transaction: "each",
  cuts: (requests) =>
    someCuts(requests).filter(({ request }) =>
      requests[request - 1] === "commit"
    ),
  args: ARGS,
  lanes: 4,
});
