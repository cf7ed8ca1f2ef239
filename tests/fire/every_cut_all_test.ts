import { cutTest } from "../support/cuts.ts";

cutTest("all");
