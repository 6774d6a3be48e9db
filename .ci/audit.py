"""Known vulnerabilities of the locked versions, by pip-audit. Usage: audit.py PIP_AUDIT [--where-possible]

Exits with 1 if there are any, and with 2 if nothing could be compared; with --where-possible the latter passes.
"""

import json
import subprocess
import sys

program, *options = sys.argv[1:]
command = [
    program,
    "--disable-pip",
    "--require-hashes",
    "-r",
    "requirements.lock",
    "--format",
    "json",
    "--progress-spinner=off",
]
done = subprocess.run(command, capture_output=True, text=True, check=False)
try:
    packages = json.loads(done.stdout)["dependencies"]
except (ValueError, KeyError):  # no connection
    packages = []
compared = [package for package in packages if "skip_reason" not in package]
found = [(package, each) for package in compared for each in package["vulns"]]
for package, each in found:
    fixed = ", ".join(each["fix_versions"]) or "no version yet"
    sys.stdout.write(f"{package['name']} {package['version']}: {each['id']}, mended in {fixed}\n")
sys.stdout.write(f"audit: {len(compared)} of {len(packages)} packages compared, {len(found)} known vulnerabilities\n")
if not compared:
    sys.stderr.write("audit: nothing could be compared: the data of vulnerabilities cannot be had here\n")
    sys.exit(0 if "--where-possible" in options else 2)
sys.exit(1 if found else 0)
