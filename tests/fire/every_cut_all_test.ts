import { battlescopeCutTest } from "../support/program/battlescope_cuts.ts";
import { everyCut } from "../support/program/cuts.ts";

battlescopeCutTest("up in one transaction survives a cut at every request", {
  direction: "up",
  command: ["up"],
  cuts: everyCut,
});

battlescopeCutTest("down in one transaction survives a cut at every request", {
  direction: "down",
  command: ["down", "--all", "--yes"],
  // One fault for each request, by turns, will do.
  cuts: (requests, dense) =>
    everyCut(requests, dense).filter((_, i) => [0, 3].includes(i % 4)),
});
