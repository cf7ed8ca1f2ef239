/** The answer to what takes effect is lost: what the program says of it, in words and as data, is what the database holds. */
import { LOST_ANSWERS } from "../support/net/lost_answers.ts";
import { lossTest } from "../support/program/outcomes.ts";

for (const [name, test] of Object.entries(LOST_ANSWERS)) lossTest(name, test);
