# SPDX-License-Identifier: GPL-2.0-or-later
# What users expect of the commands, against a real node: access (C01), volumes (C02), names (C04), contents
# and resuming (C04), recursive copies (C05), patterns (C06), moving and deleting (C07), and bad input.
. "$(dirname "$0")/../lib/cluster.sh"

for tool in sxcp sxinit sxvol sxls sxrm sxmv sxcat sxacl sxsetup; do
    [ -x "$SX_BUILDDIR/$tool" ] || { echo "SKIP: $tool is not built"; exit 77; }
done

sx_cluster 1
T=$SX_TEST_CLUSTER/tmp
K=$SX_NODE1/admin.key
small=${SX_TEST_SMALL:-0}

# Runs a command on a terminal of its own, with answers: on_terminal ANSWERS COMMAND...
on_terminal() {
    python3 -B - "$@" <<'PY'
import os, pty, select, sys, time
answers, pid_fd = sys.argv[1], pty.fork()
if pid_fd[0] == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
pid, fd = pid_fd
pending, end, said = [a + "\n" for a in answers.split("|")], time.monotonic() + 60, b""
while time.monotonic() < end:
    r = select.select([fd], [], [], 0.3)[0]
    if r:
        try:
            got = os.read(fd, 4096)
        except OSError:
            break
        if not got:
            break
        said += got
    elif pending and said.rstrip().endswith((b":", b")")):
        os.write(fd, pending.pop(0).encode())
sys.stdout.write(said.decode(errors="replace"))
status = os.waitpid(pid, 0)[1]
sys.exit(os.waitstatus_to_exitcode(status))
PY
}

same() {
    cmp "$1" "$2" || { echo "FAIL: $1 and $2 differ"; exit 1; }
}

want() {
    [ "$2" = "$3" ] || { printf 'FAIL: %s: "%s", not "%s"\n' "$1" "$2" "$3"; exit 1; }
}

summary() { # summary FIELD COMMAND...: a member of sxcp's last line
    local field=$1
    shift
    "$@" --json | tail -1 | python3 -c "import json,sys; print(json.load(sys.stdin)['$field'])"
}

# ---- C01: access ----------------------------------------------------------------------------

FP=$(python3 -c "import json,sys; print(json.load(open('$K'))['fingerprint'])")
AK=$(python3 -c "import json,sys; print(json.load(open('$K'))['access_key'])")
SK=$(python3 -c "import json,sys; print(json.load(open('$K'))['secret_key'])")
fresh() { rm -rf "$T/conf"; }

fresh
fails 1 "fingerprint is not known" sxinit -c "$T/conf" --batch --node "$SX_HOST1" sx://admin@one
fails 1 "cannot ask without a terminal" sxinit -c "$T/conf" --node "$SX_HOST1" sx://admin@one </dev/null
[ ! -e "$T/conf" ] || [ -z "$(ls -A "$T/conf")" ] || { echo "FAIL: a refused set-up left files"; exit 1; }
said=$(on_terminal "n" sxinit -c "$T/conf" --node "$SX_HOST1" sx://admin@one) && exit 1
case $said in *"$FP"*"nothing was stored"*) ;; *) echo "FAIL: $said"; exit 1 ;; esac
want "profiles after a refusal" "$(sxinit -c "$T/conf" --list)" ""
on_terminal "y|$AK|$SK" sxinit -c "$T/conf" --node "$SX_HOST1" --alias @one sx://admin@one >/dev/null
want "profiles" "$(sxinit -c "$T/conf" --list)" "sx://admin@one  @one"
[ "$(stat -c %a "$T/conf/clusters/one/user-admin.json")" = 600 ]
ok "C01 trust on first use, refused and accepted; the key is private"

link=$(sxinit -c "$T/conf" --config-link @one)
sxinit -c "$T/conf" --delete @one
want "profiles after removal" "$(sxinit -c "$T/conf" --list)" ""
printf '%s\n' "$link" | sxinit -q -c "$T/conf" --link - --alias @two
sxinit -c "$T/conf" --info @two | grep -q "$FP"
sxls -c "$T/conf" @two
fails 1 "not the cluster that was meant" sxinit -c "$T/conf2" --link "${link/fingerprint=????????/fingerprint=00000000}"
fails 1 "another fingerprint" sxinit -c "$T/conf2" --key-file "$K" --fingerprint "${FP/????????/00000000}"
ok "C01 link, list, info, delete; a wrong fingerprint is refused"

echo "pass word" >"$T/pass"
sxacl useradd -q --key-out "$T/anna.key" --pass-file "$T/pass" anna @t
grep -q secret_key "$T/anna.key" && { echo "FAIL: a protected key file holds the key"; exit 1; }
echo "wrong" >"$T/bad"
fails 1 "wrong password" sxinit -c "$T/conf" --key-file "$T/anna.key" --pass-file "$T/bad" --batch
sxinit -q -c "$T/conf" --key-file "$T/anna.key" --pass-file "$T/pass" --alias @anna
want "whoami" "$(sxacl -c "$T/conf" whoami @anna)" "anna (normal)"
fails 1 "exists" sxacl useradd --key-out "$T/anna.key" bert @t
sed "s/$SK/${SK/????/aaaa}/" "$K" >"$T/wrong.key"
fails 1 "sxinit" sxinit -c "$T/conf3" --key-file "$T/wrong.key" --batch
fails 1 "sxinit --alias @nobody" sxls @nobody/vol
fails 1 "run: sxinit sx://nowhere" sxls sx://nowhere/vol
ok "C01 protected key files, wrong passwords and keys"

# ---- C02: volumes ---------------------------------------------------------------------------

sxvol create -q @t/vol
sxvol create -q --revisions 3 --compression none --quota 1G @t/raw
want "compression" "$(sxvol info --json @t/raw | python3 -c 'import json,sys; v=json.load(sys.stdin); print(v["compression"], v["revisions"], v["quota"])')" \
    "none 3 1073741824"
fails 1 "may not create volumes" sxvol -c "$T/conf" create @anna/mine
fails 1 "neither a number nor 'any'" sxacl usermod --max-volumes many anna @t
sxacl usermod -q --max-volumes 1 anna @t
sxvol create -q -c "$T/conf" @anna/mine
fails 1 "at most 1 are allowed" sxvol -c "$T/conf" create @anna/mine2
want "max_volumes" "$(sxacl usermod --json --max-volumes any anna @t | python3 -c 'import json,sys; print(json.load(sys.stdin)["max_volumes"])')" 4294967295
sxvol create -q -c "$T/conf" @anna/mine2
fails 1 "of his own only" sxvol -c "$T/conf" create --owner admin @anna/mine3
sxvol remove -q -c "$T/conf" @anna/mine
sxvol remove -q -c "$T/conf" @anna/mine2
sxacl usermod -q --max-volumes 0 anna @t
fails 1 "exists" sxvol create @t/vol
fails 1 "begins with a dot" sxvol create @t/.vol
fails 1 "too short" sxvol create @t/v
fails 1 "not valid UTF-8" sxvol create "@t/$(printf 'v\377l')"
long=$(printf 'v%.0s' $(seq 255))
sxvol create -q "@t/$long"
fails 1 "too long" sxvol create "@t/x$long"
sxvol remove -q "@t/$long"
fails 1 "nodes" sxvol create --replica 2 @t/two
fails 1 "not a number" sxvol create --replica 0 @t/two
fails 1 "compression" sxvol create --compression rar @t/two
fails 1 "nothing to change" sxvol modify @t/vol
sxvol create -q @t/kept
sxvol modify -q --versioning enabled @t/kept
sxvol info @t/kept | grep -q '^versioning: *enabled$'
echo one >"$T/kept" && sxcp -q "$T/kept" @t/kept/f && sxrm -q @t/kept/f
fails 1 "does not exist" sxcat @t/kept/f
fails 1 "holds old revisions" sxvol remove @t/kept
fails 1 "it can be enabled or suspended" sxvol modify --versioning off @t/kept
fails 1 "none of off, enabled, suspended" sxvol modify --versioning perhaps @t/kept
sxvol remove -q -r @t/kept
fails 1 "does not exist" sxvol remove @t/none
ok "C02 volumes: limits, duplicates, rights, bad names"

# ---- C03: names -----------------------------------------------------------------------------

echo x >"$T/x"
name=$(printf 'ä%.0s' $(seq 512))
sxcp -q "$T/x" "@t/vol/$name"
want "a name of 1024 bytes" "$(sxcat "@t/vol/$name")" x
fails 1 "too long" sxcp "$T/x" "@t/vol/x$name"
odd='a b%20+&=#?*[x]\y"'\''<>'
cp "$T/x" "$T/$odd"
sxcp -q "$T/$odd" @t/vol/odd/
sxls --json -r @t/vol/odd | python3 -c "
import json, sys
names = [json.loads(l)['path'] for l in sys.stdin]
assert 'odd/' + sys.argv[1] in names, names" "$odd"
mkdir "$T/odd"
sxcp -q -r @t/vol/odd/ "$T/odd"
same "$T/x" "$T/odd/$odd"
for bad in //a a//b a/../b ./a a/.; do
    fails 1 "has " sxcp "$T/x" "@t/vol/$bad"
done
sxrm -q -r @t/vol/
ok "C03 names of all lengths and characters"

# ---- C04: contents --------------------------------------------------------------------------

python3 - "$T" "$small" <<'PY'
import os, random, sys
top, small = sys.argv[1] + "/sizes", sys.argv[2] == "1"
os.makedirs(top)
rng = random.Random(4)
sizes = [0, 1, 4095, 4096, 4097, 8191, 8192, 8193, 131071, 131072, 131073, 262144, 1048575, 1048576, 1048577, 4194304]
sizes += [9000000] if small else [(128 << 20) - 1, 128 << 20, (128 << 20) + 1]
for s in sizes:
    with open(f"{top}/f{s}", "wb") as f:
        left = s
        while left:
            n = min(left, 1 << 20)
            f.write(rng.randbytes(n) if s % 2 or left > 64 << 20 else bytes(n))
            left -= n
PY
sxcp -q -r "$T/sizes" @t/vol/
rm -rf "$T/back"
sxcp -q -r @t/vol/sizes "$T/back"
diff -r "$T/sizes" "$T/back/sizes"
for f in "$T"/sizes/*; do
    [ "$(stat -c '%Y %a' "$f")" = "$(stat -c '%Y %a' "$T/back/sizes/${f##*/}")" ] || {
        echo "FAIL: mode or time of $f"; exit 1; }
    sxcat "@t/vol/sizes/${f##*/}" | cmp - "$f"
done
ok "C04 files of boundary sizes come back the same, with time and mode"

want "files copied again" "$(summary files sxcp -q -r "$T/sizes" @t/vol/)" 0
want "files fetched again" "$(summary files sxcp -q -r @t/vol/sizes "$T/back")" 0
find "$T/sizes" -type f -size +1M -exec touch {} +
moved=$(summary moved sxcp -q -r "$T/sizes" @t/vol/)
[ "$moved" -lt 10000 ] || { echo "FAIL: identical content moved $moved bytes"; exit 1; }
rev=$(sxls --json @t/vol/sizes/f4096)
sxcp -q "$T/sizes/f4096" @t/vol/sizes/f4096
want "the revision of an unchanged file" "$(sxls --json @t/vol/sizes/f4096)" "$rev"
ok "C04 identical content is not sent again"

for n in 0 5 4096 4097 3000000 20000000; do
    head -c $n /dev/urandom >"$T/piped"
    cat "$T/piped" | sxcp -q - @t/vol/piped
    sxcp @t/vol/piped - | cmp - "$T/piped"
done
fails 1 "no name" sxcp - @t/vol/ </dev/null
ok "C04 standard input of unknown length, standard output"

sparse=$((small ? 100000000 : 4600000000))
truncate -s $sparse "$T/sparse"
printf 'middle' | dd of="$T/sparse" bs=1 seek=$((sparse / 2)) conv=notrunc status=none
sxcp -q "$T/sparse" @t/vol/
sxcp -q @t/vol/sparse "$T/sparse2"
same "$T/sparse" "$T/sparse2"
[ "$(stat -c %b "$T/sparse2")" -lt 40000 ] || { echo "FAIL: holes were filled"; exit 1; }
rm "$T/sparse" "$T/sparse2"
ok "C04 a sparse file of more than 4 GiB"

big=$((small ? 12000000 : 120000000))
head -c $big /dev/urandom >"$T/big"
rate=$((big / 8)) # three transfers are cut after two seconds each, none may be near its end then
status=0
timeout -s INT 2 sxcp -q -b $rate "$T/big" @t/vol/ 2>/dev/null || status=$?
[ $status != 0 ] || { echo "FAIL: the upload was not interrupted"; exit 1; }
fails 1 "no such file" sxls @t/vol/big
reused=$(summary reused sxcp -q "$T/big" @t/vol/)
[ "$reused" -gt $((big / 10)) ] || { echo "FAIL: the upload began anew, reused $reused"; exit 1; }
sxcat @t/vol/big | cmp - "$T/big"
for sig in INT KILL; do
    status=0
    timeout -s $sig 2 sxcp -q -b $rate @t/vol/big "$T/got" 2>/dev/null || status=$?
    [ $status != 0 ] && [ ! -e "$T/got" ] || { echo "FAIL: the download was not interrupted"; exit 1; }
done
reused=$(summary reused sxcp -q @t/vol/big "$T/got")
[ "$reused" -gt $((big / 10)) ] || { echo "FAIL: the download began anew, reused $reused"; exit 1; }
same "$T/big" "$T/got"
[ -z "$(find "$T" -maxdepth 1 -name '.sx-*')" ] || { echo "FAIL: a part file is left"; exit 1; }
printf 'changed' | dd of="$T/got" bs=1 seek=$((big / 2)) conv=notrunc status=none
moved=$(summary moved sxcp -q @t/vol/big "$T/got")
[ "$moved" -lt 9000000 ] || { echo "FAIL: a small change fetched $moved bytes"; exit 1; }
same "$T/big" "$T/got"
rm "$T/big" "$T/got"
ok "C04 interrupted transfers go on; a changed copy is mended"
sxrm -q -r @t/vol/

# ---- C05: recursive -------------------------------------------------------------------------

mkdir -p "$T/src/sub/deep" "$T/src/empty"
for f in a.c a.o sub/b.c sub/b.o sub/deep/c.c sub-x; do echo "$f" >"$T/src/$f"; done
ln -s a.c "$T/src/link"
ln -s . "$T/src/loop"
mkfifo "$T/src/fifo"
list() { sxls -r --json "$1" | python3 -c "
import json, sys
print(' '.join(json.loads(l)['path'] for l in sys.stdin))"; }

said=$(sxcp -r "$T/src" @t/vol/ 2>&1)
case $said in *"link: skipped: is a symbolic link"*) ;; *) echo "FAIL: $said"; exit 1 ;; esac
case $said in *"fifo: skipped: is not a regular file"*) ;; *) echo "FAIL: $said"; exit 1 ;; esac
want "dir" "$(list @t/vol)" "src/a.c src/a.o src/sub-x src/sub/b.c src/sub/b.o src/sub/deep/c.c"
sxcp -q -r "$T/src/" @t/vol/slash
want "dir/" "$(list @t/vol/slash/)" \
    "slash/a.c slash/a.o slash/sub-x slash/sub/b.c slash/sub/b.o slash/sub/deep/c.c"
sxcp -q -r --exclude '*.o' "$T/src/" @t/vol/ex/
want "--exclude" "$(list @t/vol/ex/)" "ex/a.c ex/sub-x ex/sub/b.c ex/sub/deep/c.c"
sxcp -q -r --include '*.o' "$T/src/" @t/vol/in/
want "--include" "$(list @t/vol/in/)" "in/a.o in/sub/b.o"
sxcp -q -r --include 'sub/b.o' --exclude '*.o' --exclude deep "$T/src/" @t/vol/both/
want "both" "$(list @t/vol/both/)" "both/a.c both/sub-x both/sub/b.c both/sub/b.o"
sxcp -q -r --follow "$T/src/" @t/vol/fo/
want "--follow" "$(list @t/vol/fo/)" \
    "fo/a.c fo/a.o fo/link fo/sub-x fo/sub/b.c fo/sub/b.o fo/sub/deep/c.c"
fails 1 "use -r" sxcp "$T/src" @t/vol/x
fails 1 "use -r" sxcp @t/vol/src "$T/out"
sxcp -q -r @t/vol/src "$T/out"
sxcp -q -r @t/vol/src/ "$T/out2/"
sxcp -q -r --exclude '*.o' --exclude sub @t/vol/src/ "$T/out3"
rm "$T/src/link" "$T/src/loop" "$T/src/fifo"
rmdir "$T/src/empty"
diff -r "$T/src" "$T/out/src"
diff -r "$T/src" "$T/out2"
rm "$T/out2/sub/b.c"
mkdir "$T/out2/sub/b.c"
fails 2 "b.c: replace: Is a directory" sxcp -q -r @t/vol/src/ "$T/out2/"
want "after a directory in the way" "$(cd "$T/out2/sub" && find . | sort | tr '\n' ' ')" \
    ". ./b.c ./b.o ./deep ./deep/c.c "
want "--exclude, downloading" "$(cd "$T/out3" && find . -type f | sort | tr '\n' ' ')" "./a.c ./sub-x "
if mount -t tmpfs none "$T/src/sub/deep" 2>/dev/null; then
    echo hidden >"$T/src/sub/deep/hidden"
    sxcp -q -r -x "$T/src/" @t/vol/onefs/
    umount "$T/src/sub/deep"
    want "-x" "$(list @t/vol/onefs/)" "onefs/a.c onefs/a.o onefs/sub-x onefs/sub/b.c onefs/sub/b.o"
fi
ok "C05 slashes, include and exclude, links, special files, one file system"

sxcp -q "$T/src/a.c" "$T/src/a.o" @t/vol/two
want "several sources" "$(list @t/vol/two/)" "two/a.c two/a.o"
fails 2 "gone: No such file" sxcp --ignore-errors "$T/gone" "$T/src/sub-x" @t/vol/two/
want "after an error" "$(list @t/vol/two/)" "two/a.c two/a.o two/sub-x"
fails 1 "gone: No such file" sxcp "$T/gone" "$T/src/a.c" @t/vol/three/
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    run() { setpriv --reuid 65534 --clear-groups -- "$@"; }
    cp -r "$SX_CONFIG_DIR" "$T/nobody"
    chmod 711 "$T"
    chown -R 65534 "$T/nobody"
    chmod 600 "$T/src/a.o"
    if run test -x "$SX_BUILDDIR/sxcp" && run test -r "$T/nobody/aliases.json"; then
        fails 2 "a.o: Permission denied" run sxcp -c "$T/nobody" -q -r --ignore-errors "$T/src/" @t/vol/perm/
        want "an unreadable file" "$(list @t/vol/perm/)" \
            "perm/a.c perm/sub-x perm/sub/b.c perm/sub/b.o perm/sub/deep/c.c"
        fails 1 "a.o: Permission denied" run sxcp -c "$T/nobody" "$T/src/a.o" @t/vol/perm/
        mkdir -m 755 "$T/locked"
        fails 1 "Permission denied" run sxcp -c "$T/nobody" @t/vol/src/a.c "$T/locked/"
    fi
    chmod 644 "$T/src/a.o"
fi
ok "C05 files that fail: the status, the others"

# ---- C06: patterns --------------------------------------------------------------------------

sxrm -q -r @t/vol/
mkdir "$T/glob"
for f in a b ab 'a*b' 'a?b' 'a[b' 'a\b' c1 c2 c3 'c[12]'; do echo "$f" >"$T/glob/$f"; done
mkdir "$T/glob/d1" "$T/glob/d2"
echo 1 >"$T/glob/d1/x"; echo 2 >"$T/glob/d2/x"; echo 3 >"$T/glob/d2/y"
sxcp -q -r "$T/glob/" @t/vol/g/
matches() { # matches PATTERN NAMES...
    local pattern=$1 got
    shift
    got=$(sxls --json "@t/vol/g/$pattern" 2>/dev/null | python3 -c "
import json, sys
print('|'.join(json.loads(l)['path'].removeprefix('g/') for l in sys.stdin))") || true
    want "pattern $pattern" "$got" "$(IFS='|'; echo "$*")"
}
matches 'a' a
matches '?' a b
matches 'a*' a 'a*b' 'a?b' 'a[b' 'a\b' ab
matches 'a\*b' 'a*b'
matches 'a\?b' 'a?b'
matches 'a\[b' 'a[b'
matches 'a\\b' 'a\b'
matches 'c[12]' c1 c2
matches 'c[!1]' c2 c3
matches 'c[2-9]' c2 c3
matches 'c\[12\]' 'c[12]'
matches 'd*' d1/ d2/
matches 'd*/x' d1/x d2/x
matches 'd?/*' d1/x d2/x d2/y
matches '*/y' d2/y
matches 'nope*'
fails 1 "no such file" sxls '@t/vol/g/nope*'
mkdir "$T/got"
sxcp -q '@t/vol/g/c[12]' '@t/vol/g/a\*b' "$T/got"
want "sxcp with patterns" "$(ls "$T/got" | tr '\n' ' ')" "a*b c1 c2 "
fails 1 "use -r" sxcp '@t/vol/g/d*' "$T/got"
sxcp -q -r '@t/vol/g/d*' "$T/got"
want "sxcp -r with patterns" "$(cd "$T/got" && ls d1 d2 | tr '\n' ' ')" "d1: x  d2: x y "
want "sxcat with a pattern" "$(sxcat '@t/vol/g/c[123]' | tr '\n' ' ')" "c1 c2 c3 "
sxmv '@t/vol/g/c?' @t/vol/h/
want "sxmv with a pattern" "$(list @t/vol/h/)" "h/c1 h/c2 h/c3"
sxmv '@t/vol/g/c\[12\]' @t/vol/h/
want "sxmv with a quoted name" "$(list @t/vol/h/)" "h/c1 h/c2 h/c3 h/c[12]"
sxrm -q '@t/vol/h/c\[12\]'
want "sxrm with a quoted name" "$(list @t/vol/h/)" "h/c1 h/c2 h/c3"
sxrm -q '@t/vol/h/c[12]'
want "sxrm with a pattern" "$(list @t/vol/h/)" "h/c3"
fails 1 "no such file" sxrm '@t/vol/h/z*'
sxrm -q -r '@t/vol/g/d*'
want "sxrm -r with a pattern" "$(list @t/vol/g/ | grep -c d)" 0
ok "C06 patterns in all commands, quoted and not"

# ---- C07: moving, deleting, reading ---------------------------------------------------------

sxrm -q -r @t/vol/
sxvol create -q @t/other
sxcp -q -r "$T/src/" @t/vol/s/
sxmv @t/vol/s/a.c @t/vol/s/moved.c
want "rename" "$(sxcat @t/vol/s/moved.c)" a.c
sxmv @t/vol/s/moved.c @t/other
want "between volumes" "$(sxcat @t/other/moved.c)" a.c
fails 1 "moved.c" sxcat @t/vol/s/moved.c
sxmv @t/other/moved.c @t/vol/s/a.o
want "over a file" "$(sxcat @t/vol/s/a.o)" a.c
fails 1 "same file" sxmv @t/vol/s/a.o @t/vol/s/a.o
fails 1 "same file" sxmv @t/vol/s/a.o @t/vol/s/
fails 1 "same directory" sxmv @t/vol/s @t/vol/
fails 1 "below itself" sxmv @t/vol/s @t/vol/s/sub/new
fails 1 "no such file" sxmv @t/vol/gone @t/vol/x
fails 1 "is a file" sxmv @t/vol/s/sub @t/vol/s/a.o
sxmv @t/vol/s/sub @t/other/renamed
want "a directory" "$(list @t/other)" "renamed/b.c renamed/b.o renamed/deep/c.c"
sxmv @t/other/renamed @t/vol/s
want "into a directory" "$(list @t/vol/s/)" \
    "s/a.o s/renamed/b.c s/renamed/b.o s/renamed/deep/c.c s/sub-x"
sxcp -q @t/vol/s/a.o @t/other/copy
sxcp -q -r @t/vol/s @t/other/
want "copies inside the cluster" "$(list @t/other)" \
    "copy s/a.o s/renamed/b.c s/renamed/b.o s/renamed/deep/c.c s/sub-x"
sxinit -q --key-file "$T/anna.key" --pass-file "$T/pass" --alias @anna
sxacl volperm -q --grant read,write anna @t/other
head -c 3000000 /dev/urandom >"$T/stream"
sxcp -q "$T/stream" @t/vol/stream
sxcp -q @t/vol/stream @anna/other/streamed
sxcat @anna/other/streamed | cmp - "$T/stream"
sxcp -q -r @t/vol/s/ @anna/other/as-anna/
want "copies between users" "$(list @t/other/as-anna | wc -w)" 5
fails 1 "no such file" sxcp @t/vol/gone @anna/other/gone
sxrm -q -r '@t/other/as-anna'
sxrm -q '@t/other/stream*' @t/vol/stream
fails 1 "into itself" sxcp -r @t/vol/s @t/vol/s/again
want "sxcat of several" "$(sxcat @t/other/copy @t/other/s/sub-x | tr '\n' ' ')" "a.c sub-x "
fails 1 "is a directory" sxrm @t/other/s
fails 1 "names a volume" sxrm -r @t/other
sxrm -q @t/other/copy
fails 1 "no such file" sxrm @t/other/copy
sxrm -f @t/other/copy >/dev/null
want "sxrm -r" "$(sxrm -r @t/other/s)" "Deleted 5 file(s)"
want "what is left" "$(list @t/other)" ""
sxvol remove -q @t/other
sxvol remove -q -r @t/vol
fails 1 "does not exist" sxls @t/vol
ok "C07 moving, copying inside, deleting"

# ---- Bad input ------------------------------------------------------------------------------

sxvol create -q @t/vol
fails 1 "both on this computer" sxcp "$T/x" "$T/y"
fails 1 "cannot be mixed" sxcp "$T/x" @t/vol/a @t/vol/
fails 1 "the destination is missing" sxcp "$T/x"
fails 1 "the source is missing" sxcp
fails 1 "volume is missing" sxcp "$T/x" @t
fails 1 "volume 'none' does not exist" sxcp "$T/x" @t/none/x
fails 1 "not a size" sxcp -b fast "$T/x" @t/vol/x
fails 1 "see sxcp --help" sxcp --nonsense
fails 1 "is not a command" sxvol fly @t/vol
fails 1 "is not a right" sxacl volperm --grant fly anna @t/vol
fails 1 "is not a role" sxacl useradd --role king karl @t
fails 1 "user name" sxacl useradd "a b" @t
fails 1 "does not exist" sxacl volperm --grant read nobody @t/vol
fails 1 "does not exist" sxls -c "$T/conf" @anna/vol
sxacl volperm -q --grant read anna @t/vol
fails 1 "no right" sxcp -c "$T/conf" "$T/x" @anna/vol/x
sxvol modify -q --quota 1000 @t/vol
head -c 5000 /dev/urandom >"$T/over"
fails 1 "quota" sxcp "$T/over" @t/vol/
sxvol modify -q --quota 0 @t/vol
fails 1 "does not exist" sxcat @t/vol/none
touch "$T/file"
sxcp -q "$T/x" @t/vol/x
fails 1 "" sxcp @t/vol/x "$T/file/below"
if [ -w /dev/full ]; then
    fails_full() { sxcat @t/vol/x >/dev/full; }
    fails 1 "No space left" fails_full
fi
for tool in sxinit sxcp sxls sxcat sxrm sxmv sxvol sxacl; do
    "$tool" --version | grep -q "^$tool "
    "$tool" --help | grep -q "^usage: $tool "
done
ok "bad input gets clear errors"
sx_done
