import { battlescopeCutTest } from "../support/program/battlescope_cuts.ts";
import { everyCut, everyCutByTurns } from "../support/program/cuts.ts";

battlescopeCutTest("up in one transaction survives a cut at every request", {
  direction: "up",
  command: ["up"],
  cuts: everyCut,
});

battlescopeCutTest("down in one transaction survives a cut at every request", {
  direction: "down",
  command: ["down", "--all", "--yes"],
  cuts: everyCutByTurns,
});
