"""Debian's kernel and user land for another architecture, from its packages, and an initial RAM disk that starts them."""
import lzma
import pathlib
import stat
import subprocess

# Debian's name, the release (the first one with the architecture), its kernel's package, modules of the console and disk.
SYSTEMS = {"aarch64": ("arm64", "bookworm", "linux-image-arm64"), "riscv64": ("riscv64", "trixie", "linux-image-riscv64")}
PACKAGES = ["python3", "busybox", "libstdc++6", "dash", "coreutils", "procps", "babeltrace2", "file"]
# In the order in which they are loaded; those that the kernel contains are passed over.
MODULES = ["virtio", "virtio_ring", "virtio_mmio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "netfs", "fscache",
           "9pnet", "9pnet_virtio", "9p"]

INIT = """#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t sysfs sys /sys; $b mount -t devtmpfs dev /dev
for m in {modules}; do $b insmod /modules/$m.ko || echo "machine: no module $m"; done
options=trans=virtio,version=9p2000.L,msize=262144,cache=loose
$b mount -t 9p -o ro,$options system /new && $b mount -t tmpfs none /new/tmp && $b mount --bind /proc /new/proc &&
  $b mount --bind /sys /new/sys && $b mount --bind /dev /new/dev && $b mkdir -p /dev/shm && $b mount -t tmpfs none /dev/shm &&
  $b mount -t 9p -o $options source /new{source} &&
  $b chroot /new /usr/bin/python3 {source}/tests/machine/run_tests.py {arguments}
echo "machine: status $?"
$b poweroff -f
"""


class Packages:
    """Debian packages of an architecture, without a trace in this machine's own package system."""

    def __init__(self, folder, architecture, release):
        self.folder = folder
        for part in "lists/partial", "archives/partial":
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        (folder / "sources.list").write_text("".join(
            f"deb [arch={architecture}] {address} {release} main\n" for address in mirrors()))
        self.options = ["-o", f"Dir::Etc::sourcelist={folder}/sources.list", "-o", "Dir::Etc::sourceparts=-",
                        "-o", f"Dir::State::lists={folder}/lists", "-o", f"Dir::State::status={folder}/status",
                        "-o", f"Dir::Cache::archives={folder}/archives", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=",
                        "-o", f"APT::Architecture={architecture}", "-o", f"APT::Architectures={architecture}", "-o", "APT::Sandbox::User=root"]

    def unpack(self, names, root):
        """They and what they need, without running any of their scripts."""
        run("apt-get", *self.options, "-q", "update")
        run("apt-get", *self.options, "-q", "-y", "--no-install-recommends", "--download-only", "install", *names)
        for package in sorted((self.folder / "archives").glob("*.deb")):
            archive = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], check=True, capture_output=True).stdout
            subprocess.run(["tar", "x", "--keep-directory-symlink", "-C", root], input=archive, check=True)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command[:1]))} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def mirrors():
    """Where this machine has its Debian packages from."""
    done = subprocess.run(["apt-get", "indextargets", "--format", "$(CREATED_BY)|$(ORIGIN)|$(COMPONENT)|$(RELEASE)|$(REPO_URI)"],
                          capture_output=True, text=True, check=True)
    found = {line.split("|")[4] for line in done.stdout.splitlines()
             if line.startswith("Packages|Debian|main|") and not line.split("|")[3].endswith(("-security", "-updates", "-backports"))}
    return sorted(found) or ["http://deb.debian.org/debian/"]


class RamDisk:
    """A cpio archive in the "newc" format (the kernel's documentation, initramfs buffer format)."""

    def __init__(self):
        self.bytes = bytearray()
        self.count = 0

    def add(self, name, content=b"", mode=stat.S_IFREG | 0o755, device=(0, 0)):
        self.count += 1
        fields = (self.count, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name) + 1, 0)
        self.bytes += b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        self.pad()
        self.bytes += content
        self.pad()

    def pad(self):
        self.bytes += bytes(-len(self.bytes) % 4)


def module_files(root):
    """Name to content, of those of MODULES that are not in the kernel."""
    found = {}
    for path in (root / "usr/lib/modules").rglob("*.ko*"):
        name = path.name.split(".ko")[0].replace("-", "_")
        if name in MODULES:
            content = path.read_bytes()
            found[name] = lzma.decompress(content) if path.suffix == ".xz" else content
    return {name: found[name] for name in MODULES if name in found}


def libraries_of(program, root):
    """The loader and the libraries that a program names, as paths below root."""
    text = subprocess.run(["readelf", "-ldW", program], check=True, capture_output=True, text=True).stdout
    names = [line.split("[")[1].split("]")[0] for line in text.splitlines() if "(NEEDED)" in line]
    loader = next(line.split(": ")[1].strip("]") for line in text.splitlines() if "interpreter" in line)
    yield loader.lstrip("/"), (root / loader.lstrip("/")).resolve()
    for name in names:
        yield f"lib/{name}", next(p for p in root.glob(f"**/lib/*/{name}")).resolve()


def ram_disk(root, source, arguments):
    disk = RamDisk()
    modules = module_files(root)
    libraries = dict(libraries_of(root / "bin/busybox", root))
    folders = {"bin", "lib", "dev", "proc", "sys", "new", "modules"}
    folders |= {str(parent) for name in libraries for parent in pathlib.PurePath(name).parents if str(parent) != "."}
    for folder in sorted(folders):
        disk.add(folder, mode=stat.S_IFDIR | 0o755)
    disk.add("dev/console", mode=stat.S_IFCHR | 0o600, device=(5, 1))
    disk.add("bin/busybox", (root / "bin/busybox").read_bytes())
    for name, path in libraries.items():
        disk.add(name, path.read_bytes())
    for name, content in modules.items():
        disk.add(f"modules/{name}.ko", content)
    disk.add("init", INIT.format(modules=" ".join(modules), source=source, arguments=" ".join(arguments)).encode())
    disk.add("TRAILER!!!")
    return bytes(disk.bytes)


def system(folder, architecture):
    """The root of an unpacked Debian; made once, and again where other packages are wanted."""
    root = folder / "root"
    name, release, kernel = SYSTEMS[architecture]
    contents = folder / "contents"
    wanted = " ".join([release, kernel, *PACKAGES])
    if not contents.exists() or contents.read_text() != wanted:
        for place in "bin", "lib", "sbin":  # as base-files would have it
            (root / "usr" / place).mkdir(parents=True, exist_ok=True)
            if not (root / place).exists():
                (root / place).symlink_to(f"usr/{place}")
        Packages(folder / "packages", name, release).unpack([kernel, *PACKAGES], root)
        for place in "proc", "sys", "dev", "tmp":
            (root / place).mkdir(exist_ok=True)
        contents.write_text(wanted)
    return root


def kernel_of(root):
    return next(p for p in sorted((root / "boot").iterdir()) if p.name.startswith(("vmlinuz", "vmlinux", "Image")))
