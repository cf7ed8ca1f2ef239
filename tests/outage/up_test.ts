/** The answer is lost and the network stays away, for a while or for ever: what is said of up is what the database holds. */
import { LOST_ANSWERS } from "../support/net/lost_answers.ts";
import { outageTests } from "../support/program/outcomes.ts";

for (const [name, test] of Object.entries(LOST_ANSWERS)) {
  if (/^up\b/.test(name)) outageTests(name, test);
}
