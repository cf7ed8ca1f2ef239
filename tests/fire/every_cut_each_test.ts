import { cutTest, everyCut } from "../support/cuts.ts";

cutTest("up --transaction each survives a cut at every request", {
  transaction: "each",
  cuts: everyCut,
});
