import { levenshteinDistance } from "@std/text/levenshtein-distance";

/** The known word that was meant, if one is near: a third of its letters may be wrong, in either case. */
export function nearest(
  word: string,
  known: readonly string[],
): string | undefined {
  const meant = word.toLowerCase();
  const [best] = known
    .map((name) => ({
      name,
      distance: levenshteinDistance(meant, name.toLowerCase()),
    }))
    .filter(({ name, distance }) => distance <= name.length / 3)
    .sort((a, b) => a.distance - b.distance);
  return best?.name;
}
