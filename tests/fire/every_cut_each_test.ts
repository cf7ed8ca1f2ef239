import { cutTest } from "../support/cuts.ts";

cutTest("each");
