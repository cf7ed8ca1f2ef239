import { battlescopeCutTest } from "../support/program/battlescope_cuts.ts";
import { everyCutByTurns } from "../support/program/cuts.ts";

battlescopeCutTest("up in many transactions survives a cut at every request", {
  direction: "up",
  command: ["up", "--transaction=each"],
  cuts: everyCutByTurns,
});
