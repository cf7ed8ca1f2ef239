/**
 * Why there is no session that is safe to use, where the reason calls for a hint of its own.
 *
 * Apart from what throws them: who only looks at an error does not load Node's TLS.
 *
 * @module
 */

/** The server has no TLS, or somebody in between pretends that it has none. */
export class NoTlsError extends Error {
  override readonly name = "NoTlsError";
}

/** The two sides did not agree, or the server is not who it should be. */
export class TlsError extends Error {
  override readonly name = "TlsError";
}

/** The log-in is not bound to the TLS connection as it has to be. */
export class ChannelBindingError extends Error {
  override readonly name = "ChannelBindingError";

  /** @param hint what to do */
  constructor(message: string, readonly hint: string, options?: ErrorOptions) {
    super(message, options);
  }
}
