/**
 * Dates as PostgreSQL reads and writes them with `DateStyle` ISO, the way node-postgres does it.
 *
 * A `Date` is an instant, told as the clock on the wall of this process and its distance from UTC: `timestamptz` keeps the
 * instant, whatever the zones of the two; `timestamp` and `date`, which know no zone, keep what the wall shows, and are
 * read so. What is read from any of the three and written back is what it was, up to milliseconds.
 *
 * @module
 */

const DATE_TIME =
  /^(\d{4,})-(\d\d)-(\d\d)(?: (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(?:([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?)?)?( BC)?$/;

/** A valid date as text. */
export function writeDate(date: Date): string {
  const wall = wallClock(date);
  // `getTimezoneOffset` knows no seconds, which the zones had until about 1900.
  const offset = Math.round((wall.getTime() - date.getTime()) / 1_000);
  const parts = [offset / 3_600, offset / 60 % 60, offset % 60].map((part) =>
    Math.trunc(Math.abs(part))
  );
  if (parts[2] === 0) parts.pop();
  const year = wall.getUTCFullYear();
  return `${pad(year < 1 ? 1 - year : year, 4)}-` +
    `${pad(wall.getUTCMonth() + 1)}-${pad(wall.getUTCDate())}T` +
    `${pad(wall.getUTCHours())}:${pad(wall.getUTCMinutes())}:` +
    `${pad(wall.getUTCSeconds())}.${pad(wall.getUTCMilliseconds(), 3)}` +
    `${offset < 0 ? "-" : "+"}${parts.map((part) => pad(part)).join(":")}` +
    (year < 1 ? " BC" : "");
}

/**
 * Reads a `date`, a `timestamp` or a `timestamptz`. `infinity` is a number, and what no `Date` can hold, or is not in ISO,
 * stays a text: either goes back as it came.
 */
export function parseDate(text: string): Date | number | string {
  if (text === "infinity") return Infinity;
  if (text === "-infinity") return -Infinity;
  const match = DATE_TIME.exec(text);
  if (match === null) return text;
  const [, year, month, day, hours = 0, minutes = 0, seconds = 0] = match;
  const [fraction = "", sign, ...offset] = match.slice(7, 12);
  const date = new Date(2000, 0);
  const fields = [
    match[12] === undefined ? Number(year) : 1 - Number(year),
    Number(month) - 1,
    Number(day),
  ] as const;
  const time = [
    Number(hours),
    Number(minutes),
    Number(seconds),
    Number(fraction.slice(0, 3).padEnd(3, "0")),
  ] as const;
  if (sign === undefined) {
    date.setFullYear(...fields);
    date.setHours(...time);
  } else {
    date.setUTCFullYear(...fields);
    date.setUTCHours(...time);
    const [h = 0, m = 0, s = 0] = offset.map((part) => Number(part ?? 0));
    const distance = (h * 60 + m) * 60 + s;
    date.setTime(
      date.getTime() - (sign === "-" ? -distance : distance) * 1_000,
    );
  }
  return Number.isNaN(date.getTime()) ? text : date;
}

/** What the clock of this process shows, as if it stood in UTC. */
function wallClock(date: Date): Date {
  const wall = new Date(0);
  wall.setUTCFullYear(date.getFullYear(), date.getMonth(), date.getDate());
  wall.setUTCHours(
    date.getHours(),
    date.getMinutes(),
    date.getSeconds(),
    date.getMilliseconds(),
  );
  return wall;
}

function pad(value: number, length = 2): string {
  return String(value).padStart(length, "0");
}
