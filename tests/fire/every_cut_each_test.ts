import { battlescopeCutTest } from "../support/battlescope_cuts.ts";
import { everyCut } from "../support/cuts.ts";

battlescopeCutTest("up in many transactions survives a cut at every request", {
  direction: "up",
  command: ["up", "--transaction=each"],
  cuts: everyCut,
});
