/**
 * What the benchmark runs on: nothing that tells whose machine it is.
 *
 * @module
 */
import os from "node:os";

/** The machine in a line. */
export function machine(): string {
  const cpus = os.cpus();
  const memory = Math.round(os.totalmem() / 1_024 ** 3);
  const system = os.type() === "Linux" ? "Linux" : os.type();
  const release = os.release().split(/[-+]/)[0];
  return `${cpus.length} cores of ${
    cpus[0]?.model.trim() ?? "an unknown kind"
  }, ${memory} GiB of memory, ${system} ${release}`;
}
