#!/usr/bin/env bash
# Dumps MLflow's two databases into /backups, under their final names only when whole, and keeps KEEP_DAYS days.
#   restore one: pg_restore --clean --if-exists --dbname mlflow FILE
set -euo pipefail
moment=$(date -u +%Y%m%dT%H%M%SZ)
for database in mlflow mlflow_auth; do
  file=/backups/$database-$moment.dump
  pg_dump --format custom --file "$file.partial" "$database"
  pg_restore --list "$file.partial" >/dev/null
  mv "$file.partial" "$file"
  echo "$file: $(stat -c %s "$file") bytes"
done
find /backups -maxdepth 1 -name '*.dump' -mtime "+$KEEP_DAYS" -print -delete
find /backups -maxdepth 1 -name '*.partial' -mtime +1 -delete
