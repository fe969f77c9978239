# Runs `python -m "$@"` in a job of a Ray cluster, with the interpreter that Ray itself runs in there: a job's own
# PATH is that of whoever started Ray, and need not name it. Started with `exec`, so that the parent is Ray's process.
python=$(sed -n 's|^[^/]* \(/.*\)/lib/python[^/]*/site-packages/ray/_raylet\.so$|\1/bin/python|p' \
  "/proc/$PPID/maps" 2>/dev/null | head -n 1)
for candidate in "$python" "$HOME/schedule-search/.venv/bin/python" python3; do
  command -v -- "$candidate" >/dev/null 2>&1 && exec "$candidate" -m "$@"
done
echo 'error: no Python on the head: neither that of Ray, nor ~/schedule-search/.venv/bin/python, nor python3' >&2
exit 1
