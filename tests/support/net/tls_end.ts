/**
 * Ends TLS on the way to a server, as a proxy does, or a man in the middle: it shows a certificate of its own, reads what passes, and may change it.
 *
 * @module
 */
import {
  type Message,
  MessageReader,
} from "../../../scripts/dev/protocol_messages.ts";
import type { Certificate } from "../server/certificates.ts";
import { closeQuietly, type Listener, startListener } from "./listener.ts";

export interface TlsEnd extends Listener {
  /** What clients have answered to the server's requests for a proof, in order. */
  readonly proofs: readonly string[];
}

/** Where it leads to. */
export interface TlsEndServer {
  readonly port: number;
  /** The path of the authority of its certificate; without one it is spoken to without TLS. */
  readonly authority?: string;
}

export interface TlsEndOptions {
  /** What it shows. */
  readonly certificate: Certificate;
  /** Changes what the server says. @default {nothing} */
  readonly rewrite?: (message: Message) => Uint8Array;
}

/** Takes what comes in, and gives what is to go out. */
type Change = (chunk: Uint8Array) => Uint8Array[];

/** Starts one. */
export async function startTlsEnd(
  server: TlsEndServer,
  { certificate, rewrite = ({ bytes }) => bytes }: TlsEndOptions,
): Promise<TlsEnd> {
  const cert = await Deno.readTextFile(certificate.certificate);
  const key = await Deno.readTextFile(certificate.key);
  const proofs: string[] = [];
  const listener = startListener(async (outer, keep) => {
    const kept = <C extends Deno.Conn>(connection: C): C => {
      keep(connection);
      return connection;
    };
    // It is the request for TLS: the program sends nothing else before the answer.
    await outer.read(new Uint8Array(8));
    await outer.write(new TextEncoder().encode("S"));
    // Deno makes the server's end of TLS in a listener only.
    const local = { hostname: "127.0.0.1", port: 0 };
    using inner = Deno.listenTls({ ...local, cert, key });
    const { port } = inner.addr as Deno.NetAddr;
    const accepted = inner.accept();
    const between = kept(await Deno.connect({ ...local, port }));
    const client = kept(await accepted);
    const fromClient = new MessageReader("client");
    const fromServer = new MessageReader("server");
    await Promise.all([
      lead(outer, between, asItIs),
      lead(between, outer, asItIs),
      client.handshake().then(async () => {
        const upstream = kept(await connectTo(server));
        await Promise.all([
          lead(client, upstream, (chunk) => {
            for (const { type, bytes } of fromClient.push(chunk)) {
              if (type === "p") proofs.push(textOf(bytes));
            }
            return [chunk];
          }),
          lead(
            upstream,
            client,
            (chunk) => fromServer.push(chunk).map(rewrite),
          ),
        ]);
      }),
    ]);
  });
  return { ...listener, proofs };
}

async function connectTo(
  { port, authority }: TlsEndServer,
): Promise<Deno.Conn> {
  const plain = await Deno.connect({ hostname: "127.0.0.1", port });
  if (authority === undefined) return plain;
  await plain.write(SSL_REQUEST);
  await plain.read(new Uint8Array(1));
  return await Deno.startTls(plain, {
    hostname: "localhost",
    caCerts: [await Deno.readTextFile(authority)],
  });
}

/** Leads one direction on until either side ends, and ends the other. */
async function lead(
  from: Deno.Conn,
  to: Deno.Conn,
  change: Change,
): Promise<void> {
  const buffer = new Uint8Array(65_536);
  try {
    for (;;) {
      const length = await from.read(buffer);
      if (length === null) return;
      for (const part of change(buffer.slice(0, length))) {
        for (let sent = 0; sent < part.length;) {
          sent += await to.write(part.subarray(sent));
        }
      }
    }
  } catch {
    // One of the two has hung up.
  } finally {
    closeQuietly(to);
  }
}

function asItIs(chunk: Uint8Array): Uint8Array[] {
  return [chunk];
}

/** What a message says after its head. */
function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes.subarray(5));
}

const SSL_REQUEST = new Uint8Array([0, 0, 0, 8, 4, 210, 22, 47]);
