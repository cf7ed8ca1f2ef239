# The commands of the source checkout, for those who think in make. Needs Node only: Deno comes from npm.
DENO_VERSION := 2.9.6
DENO = $(shell deno --version 2>/dev/null | grep -q '^deno $(DENO_VERSION) ' \
	&& echo deno || echo npx -y deno@$(DENO_VERSION))

.DEFAULT_GOAL := help
.PHONY: help db-migrate db-migrate-make db-status db-rollback db-reset test ok
# Handed over by the environment, so that no shell reads the words of a name.
export NAME

help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

db-migrate: ## apply pending migrations (ARGS="--dry-run" …)
	@$(DENO) task migrate up $(ARGS)

db-migrate-make: ## create a migration: make db-migrate-make NAME=add_battle_tags
	@test -n "$$NAME" || { echo 'Usage: make db-migrate-make NAME=add_battle_tags' >&2; exit 2; }
	@$(DENO) task migrate new -- "$$NAME"

db-status: ## show every migration and its state
	@$(DENO) task migrate status $(ARGS)

db-rollback: ## roll back the last migration (ARGS="--yes" without a terminal)
	@$(DENO) task migrate down $(ARGS)

db-reset: ## throw the embedded database away and build it anew (ARGS="--yes" without a terminal)
	@$(DENO) task reset $(ARGS)

test: ## run the tests that need Node only (ARGS="--all" for all of them)
	@$(DENO) task test $(ARGS)

ok: ## format, lint, types, layers, registry, recording, unit tests
	@$(DENO) task ok
