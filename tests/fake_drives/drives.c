/* Drives that smartctl can ask, made of files: preloaded, it answers the ioctls that smartctl would send to hardware.
 *
 * $FAKE_DRIVES is a folder with one folder for each drive, called like its device in /dev. An answer of NVMe is the
 * file admin-OPCODE-CDW10, one of ATA the file ata-COMMAND-FEATURE-LBA (all in hexadecimal); a command without data
 * answers with its registers, as 16 bytes of text: count, LBA low, mid, high. A file called "hangs" lets all commands hang.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/nvme_ioctl.h>
#include <scsi/sg.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder_of[1024][64]; /* by file descriptor: the drive's folder, empty for all other files */

static int folder(char *path, size_t size, const char *device) {
    struct stat found;
    const char *root = getenv("FAKE_DRIVES");
    if (root == NULL || strncmp(device, "/dev/", 5) != 0)
        return 0;
    snprintf(path, size, "%s/%s", root, device + 5);
    return stat(path, &found) == 0;
}

/* Read at most `size` bytes of an answer; -1 when the drive has none. */
static long answer(int fd, const char *name, void *data, size_t size) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s/hangs", getenv("FAKE_DRIVES"), folder_of[fd]);
    while (access(path, F_OK) == 0)
        usleep(10000);
    snprintf(path, sizeof path, "%s/%s/%s", getenv("FAKE_DRIVES"), folder_of[fd], name);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return -1;
    long length = (long)fread(data, 1, size, file);
    fclose(file);
    return length;
}

static int take(const char *device, int flags, mode_t mode, const char *symbol) {
    char path[4096];
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, symbol);
    int ours = folder(path, sizeof path, device);
    int fd = real(ours ? "/dev/null" : device, flags, mode);
    if (fd >= 0 && fd < 1024)
        snprintf(folder_of[fd], sizeof folder_of[fd], "%s", ours ? device + 5 : "");
    return fd;
}

#define OPEN(symbol)                                                                                                   \
    int symbol(const char *path, int flags, ...) {                                                                     \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;                                                      \
        va_end(more);                                                                                                  \
        return take(path, flags, mode, #symbol);                                                                       \
    }
OPEN(open)
OPEN(__open_2) /* what a program built with _FORTIFY_SOURCE calls */

/* What smartctl looks for in /dev is looked for among the drives' folders. */
int glob(const char *pattern, int flags, int (*failed)(const char *, int), glob_t *found) {
    int (*real)(const char *, int, int (*)(const char *, int), glob_t *) = dlsym(RTLD_NEXT, "glob");
    char path[4096];
    const char *root = getenv("FAKE_DRIVES");
    if (root == NULL || strncmp(pattern, "/dev/", 5) != 0)
        return real(pattern, flags, failed, found);
    snprintf(path, sizeof path, "%s/%s", root, pattern + 5);
    int result = real(path, flags, failed, found);
    for (size_t i = 0; result == 0 && i < found->gl_pathc; i++)
        sprintf(found->gl_pathv[i], "/dev/%s", strrchr(found->gl_pathv[i], '/') + 1);
    return result;
}

static int nvme(int fd, struct nvme_admin_cmd *command) {
    char name[64];
    snprintf(name, sizeof name, "admin-%02x-%02x", command->opcode, command->cdw10 & 0xff);
    command->result = 0;
    memset((void *)(unsigned long)command->addr, 0, command->data_len);
    return answer(fd, name, (void *)(unsigned long)command->addr, command->data_len) < 0 ? 0x02 : 0; /* invalid field */
}

static void sense(struct sg_io_hdr *io, const unsigned char *bytes, size_t length) {
    size_t room = io->mx_sb_len < length ? io->mx_sb_len : length;
    memcpy(io->sbp, bytes, room);
    io->sb_len_wr = (unsigned char)room;
    io->status = 0x02; /* check condition */
    io->driver_status = 0x08;
}

static void ata(int fd, struct sg_io_hdr *io, const unsigned char *cdb) {
    static const unsigned char aborted[18] = {0x70, 0, 0x0b, [7] = 10};
    char name[64], text[17] = "";
    unsigned count = 0, low = 0, mid = 0, high = 0;
    snprintf(name, sizeof name, "ata-%02x-%02x-%02x", cdb[14], cdb[4], cdb[8]);
    if (io->dxfer_direction == SG_DXFER_FROM_DEV) {
        if (answer(fd, name, io->dxferp, io->dxfer_len) < 0)
            sense(io, aborted, sizeof aborted);
        return;
    }
    if (answer(fd, name, text, 16) < 0 || sscanf(text, "%x %x %x %x", &count, &low, &mid, &high) != 4) {
        sense(io, aborted, sizeof aborted);
        return;
    }
    if (cdb[2] & 0x20) { /* the registers are asked for: ATA status return descriptor (SAT) */
        unsigned char told[22] = {0x72, 0x01, 0x00, 0x1d, [7] = 14, [8] = 0x09, [9] = 0x0c, [21] = 0x50};
        told[13] = (unsigned char)count, told[15] = (unsigned char)low;
        told[17] = (unsigned char)mid, told[19] = (unsigned char)high;
        sense(io, told, sizeof told);
    }
}

static int scsi(int fd, struct sg_io_hdr *io) {
    static const unsigned char illegal[18] = {0x70, 0, 0x05, [7] = 10, [12] = 0x24};
    unsigned char inquiry[36] = {0, 0, 0x05, 0x02, 31};
    io->status = 0, io->host_status = 0, io->driver_status = 0, io->sb_len_wr = 0, io->resid = 0, io->info = 0;
    memcpy(inquiry + 8, "ATA     FAKE DRIVE      1.0 ", 28);
    if (io->cmdp[0] == 0x12 && !(io->cmdp[1] & 1))
        memcpy(io->dxferp, inquiry, io->dxfer_len < 36 ? io->dxfer_len : 36);
    else if (io->cmdp[0] == 0x85)
        ata(fd, io, io->cmdp);
    else if (io->cmdp[0] != 0x00)
        sense(io, illegal, sizeof illegal);
    return 0;
}

int ioctl(int fd, unsigned long request, ...) {
    va_list more;
    va_start(more, request);
    void *argument = va_arg(more, void *);
    va_end(more);
    if (fd >= 0 && fd < 1024 && folder_of[fd][0] != '\0') {
        if (request == NVME_IOCTL_ADMIN_CMD)
            return nvme(fd, argument);
        if (request == NVME_IOCTL_ID)
            return 1;
        if (request == SG_IO && ((struct sg_io_hdr *)argument)->interface_id == 'S')
            return scsi(fd, argument);
        errno = ENOTTY;
        return -1;
    }
    int (*real)(int, unsigned long, ...) = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    return real(fd, request, argument);
}
