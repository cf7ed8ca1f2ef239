import { cutTest, everyCut } from "../support/cuts.ts";

cutTest("up --transaction all survives a cut at every request", {
  transaction: "all",
  cuts: everyCut,
});
