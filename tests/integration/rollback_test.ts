import { assertEquals } from "@std/assert";
import { type Catalog, readCatalog } from "../support/server/catalog.ts";
import { battlescope, withKysely } from "../../scripts/dev/kysely.ts";
import { pgTest } from "../support/server/postgres.ts";

pgTest("down() of every migration undoes exactly its up()", async (db) => {
  await withKysely(db.url, async (kysely) => {
    const steps: Catalog[] = [await readCatalog(db.url)];
    for (const { name, up } of battlescope) {
      await kysely.transaction().execute(up);
      const catalog = await readCatalog(db.url);
      assertEquals(
        JSON.stringify(catalog) === JSON.stringify(steps.at(-1)),
        false,
        `${name} changes nothing`,
      );
      steps.push(catalog);
    }

    for (
      const [index, { name, down }] of [...battlescope.entries()].reverse()
    ) {
      await kysely.transaction().execute(down!);
      assertEquals(await readCatalog(db.url), steps[index], `down of ${name}`);
    }

    for (const [index, { name, up }] of battlescope.entries()) {
      await kysely.transaction().execute(up);
      assertEquals(
        await readCatalog(db.url),
        steps[index + 1],
        `${name} for the second time`,
      );
    }
  });
});

pgTest(
  "up() and down() of all migrations work in one transaction",
  async (db) => {
    const empty = await readCatalog(db.url);
    await withKysely(db.url, async (kysely) => {
      await kysely.transaction().execute(async (transaction) => {
        for (const { up } of battlescope) await up(transaction);
        for (const { down } of battlescope.toReversed()) {
          await down!(transaction);
        }
        for (const { up } of battlescope) await up(transaction);
      });
      const full = await readCatalog(db.url);
      assertEquals(full.tables?.length, 13);

      await kysely.transaction().execute(async (transaction) => {
        for (const { down } of battlescope.toReversed()) {
          await down!(transaction);
        }
      });
      assertEquals(await readCatalog(db.url), empty);
    });
  },
);

pgTest("down() works on tables that are full", async (db) => {
  const empty = await readCatalog(db.url);
  await withKysely(db.url, async (kysely) => {
    for (const { up } of battlescope) await kysely.transaction().execute(up);
    await db.query(`
      insert into battles (id, system_id, security_type, start_time, end_time, zkill_related_url)
        values ('00000000-0000-0000-0000-00000000000b', 30002187, 'nullsec', now(), now(), 'https://example.org');
      insert into killmails (killmail_id, system_id, occurred_at, zkb_url, battle_id)
        values (1, 30002187, now(), 'https://example.org', '00000000-0000-0000-0000-00000000000b');
      insert into accounts (id, display_name) values ('00000000-0000-0000-0000-00000000000a', 'A');
      insert into characters (id, account_id, eve_character_id, eve_character_name, corp_id, corp_name)
        values ('00000000-0000-0000-0000-00000000000c', '00000000-0000-0000-0000-00000000000a', 1, 'C', 2, 'D');
      update accounts set primary_character_id = '00000000-0000-0000-0000-00000000000c';
      insert into account_feature_roles (account_id, feature_id, role_id)
        select '00000000-0000-0000-0000-00000000000a', features.id, roles.id from features, roles where rank = 10;
    `);

    for (const { down } of battlescope.toReversed()) {
      await kysely.transaction().execute(down!);
    }
    assertEquals(await readCatalog(db.url), empty);
  });
});
