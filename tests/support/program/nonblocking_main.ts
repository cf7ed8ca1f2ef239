/**
 * Makes an output of its own non-blocking: `nonblocking_main.ts FD`. Whoever shares it has it so, too.
 *
 * @module
 */
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;

const { symbols } = Deno.dlopen("libc.so.6", {
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
});
const fd = Number(Deno.args[0]);
symbols.fcntl(fd, F_SETFL, symbols.fcntl(fd, F_GETFL, 0) | O_NONBLOCK);

/** With `full`, nothing has room in it from then on. */
if (Deno.args[1] === "full") {
  const out = fd === 1 ? Deno.stdout : Deno.stderr;
  try {
    for (;;) out.writeSync(new Uint8Array(4_096));
  } catch (error) {
    if (!(error instanceof Deno.errors.WouldBlock)) throw error;
  }
}
