/**
 * A standby that replays what a test says: a session that streams the log, throws it away, and tells of a position.
 *
 * @module
 */
import { connect } from "node:net";
import postgres from "postgres";

export interface FalseStandby extends AsyncDisposable {
  /** Tells the primary that everything up to this position, `0/3000148`, is replayed. */
  replayed(position: string): void;
}

/** Begins to stream from a position. The driver logs in, and has no part in what follows. */
export async function startFalseStandby(
  url: string,
  name: string,
  position: string,
): Promise<FalseStandby> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const options = {
    max: 1,
    fetch_types: false,
    socket: () => socket,
    connection: { application_name: name, replication: "true" },
  };
  const sql = postgres(url, options as unknown as postgres.Options<never>);
  await sql.unsafe("IDENTIFY_SYSTEM").simple();
  socket.removeAllListeners("data").on("data", () => {});
  socket.write(message("Q", text(`START_REPLICATION PHYSICAL ${position}\0`)));
  return {
    replayed: (to) => void socket.write(message("d", statusOf(to))),
    [Symbol.asyncDispose]: async () => {
      socket.destroy();
      await sql.end({ timeout: 0 });
    },
  };
}

/** https://www.postgresql.org/docs/current/protocol-replication.html, "Standby status update". */
function statusOf(position: string): Uint8Array {
  const [high = "0", low = "0"] = position.split("/");
  const bytes = new Uint8Array(34);
  const view = new DataView(bytes.buffer);
  bytes[0] = "r".charCodeAt(0);
  for (const at of [1, 9, 17]) {
    view.setUint32(at, parseInt(high, 16));
    view.setUint32(at + 4, parseInt(low, 16));
  }
  return bytes;
}

function text(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

function message(type: string, content: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(content.length + 5);
  bytes[0] = type.charCodeAt(0);
  new DataView(bytes.buffer).setInt32(1, content.length + 4);
  bytes.set(content, 5);
  return bytes;
}
