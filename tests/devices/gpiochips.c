/* Two GPIO chips that are not there, for LD_PRELOAD: what gpiod asks of the kernel is answered here.
 *
 * The structures and numbers are the kernel's own (linux/gpio.h, version 2 of the interface), so this shows
 * that our calls mean there what we think. /dev/gpiochip0 is some chip, /dev/gpiochip4 a Raspberry Pi 5's header.
 * Line 13 refuses every request with EINVAL, as a chip does that cannot do what is asked of it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define MAJOR 254
#define FDS 1024
#define LINES 54
#define REFUSING 13

struct line {
    int held, events;
    unsigned long long flags;
    unsigned int debounce, seqno;
    int level;
    char consumer[GPIO_MAX_NAME_SIZE];
};

static const char *labels[] = {"gpio-mmio", "pinctrl-rp1"};
static struct line lines[2][LINES];
static int chip_of[FDS]; /* 1 + number of the chip that this descriptor has open */
static struct line *line_of[FDS];

static int number(const char *path) {
    if (!strcmp(path, "/dev/gpiochip0")) return 1;
    return !strcmp(path, "/dev/gpiochip4") ? 2 : 0;
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int), chip = number(path);
    va_end(rest);
    if (!chip) return REAL(open)(path, flags, mode);
    int fd = eventfd(0, EFD_CLOEXEC);
    chip_of[fd] = chip;
    return fd;
}

/* The same under the name by which Python calls it. */
int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    return open(path, flags, mode);
}

int close(int fd) {
    if (fd >= 0 && fd < FDS) {
        chip_of[fd] = 0;
        if (line_of[fd]) {
            line_of[fd]->held = 0;
            REAL(close)(line_of[fd]->events);
            line_of[fd] = NULL;
        }
    }
    return REAL(close)(fd);
}

static int device(struct stat *found, int chip) {
    memset(found, 0, sizeof *found);
    found->st_mode = S_IFCHR | 0660;
    found->st_rdev = makedev(MAJOR, chip - 1);
    return 0;
}

int stat(const char *path, struct stat *found) {
    return number(path) ? device(found, number(path)) : REAL(stat)(path, found);
}

int lstat(const char *path, struct stat *found) {
    return number(path) ? device(found, number(path)) : REAL(lstat)(path, found);
}

/* What stat was in the C library before 2.33, for which the wheels are built. */
int __xstat(int version, const char *path, struct stat *found) { (void)version; return stat(path, found); }
int __lxstat(int version, const char *path, struct stat *found) { (void)version; return lstat(path, found); }

char *realpath(const char *path, char *resolved) {
    const char *answer = number(path) ? path : !strncmp(path, "/sys/dev/char/254:", 18) ? "/sys/bus/gpio" : NULL;
    if (!answer) return REAL(realpath)(path, resolved);
    return resolved ? strcpy(resolved, answer) : strdup(answer);
}

static int refuse(int reason) {
    errno = reason;
    return -1;
}

static int request(struct line *line, struct gpio_v2_line_request *wanted) {
    int ends[2];
    if (line->held) return refuse(EBUSY);
    if (wanted->offsets[0] == REFUSING) return refuse(EINVAL);
    if (pipe2(ends, O_CLOEXEC)) return -1;
    *line = (struct line){.held = 1, .events = ends[1], .flags = wanted->config.flags, .level = line->level};
    strcpy(line->consumer, wanted->consumer);
    for (unsigned int n = 0; n < wanted->config.num_attrs; n++) {
        struct gpio_v2_line_attribute *extra = &wanted->config.attrs[n].attr;
        if (extra->id == GPIO_V2_LINE_ATTR_ID_FLAGS) line->flags = extra->flags;
        if (extra->id == GPIO_V2_LINE_ATTR_ID_DEBOUNCE) line->debounce = extra->debounce_period_us;
    }
    for (unsigned int n = 0; n < wanted->config.num_attrs; n++) {
        struct gpio_v2_line_attribute *extra = &wanted->config.attrs[n].attr;
        if (extra->id == GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES)
            line->level = (extra->values & 1) ^ !!(line->flags & GPIO_V2_LINE_FLAG_ACTIVE_LOW);
    }
    line_of[ends[0]] = line;
    wanted->fd = ends[0];
    return 0;
}

static int ask_chip(int chip, unsigned int what, void *about) {
    if (what == GPIO_GET_CHIPINFO_IOCTL) {
        struct gpiochip_info *info = about;
        *info = (struct gpiochip_info){.lines = LINES};
        strcpy(info->label, labels[chip]);
        return 0;
    }
    if (what == GPIO_V2_GET_LINEINFO_IOCTL) {
        struct gpio_v2_line_info *info = about;
        struct line *line = &lines[chip][info->offset];
        *info = (struct gpio_v2_line_info){.offset = info->offset, .flags = GPIO_V2_LINE_FLAG_INPUT};
        if (line->flags) info->flags = line->flags;
        if (line->held) info->flags |= GPIO_V2_LINE_FLAG_USED, strcpy(info->consumer, line->consumer);
        return 0;
    }
    if (what == GPIO_V2_GET_LINE_IOCTL) {
        struct gpio_v2_line_request *wanted = about;
        return request(&lines[chip][wanted->offsets[0]], wanted);
    }
    return refuse(ENOTTY);
}

/* An answer that comes as soon as an output is made an input: a chip on one wire. */
static struct gpio_v2_line_event answer[128];
static int answers;

static int turn(struct line *line, struct gpio_v2_line_config *config) {
    line->flags = config->flags;
    for (unsigned int n = 0; n < config->num_attrs; n++)
        if (config->attrs[n].attr.id == GPIO_V2_LINE_ATTR_ID_FLAGS) line->flags = config->attrs[n].attr.flags;
    if (!(line->flags & GPIO_V2_LINE_FLAG_INPUT)) return 0;
    for (int n = 0; n < answers; n++) {
        answer[n].seqno = answer[n].line_seqno = ++line->seqno;
        if (write(line->events, &answer[n], sizeof answer[n]) < 0) abort();
    }
    return 0;
}

static int ask_line(struct line *line, unsigned int what, void *about) {
    struct gpio_v2_line_values *values = about;
    int turned = !!(line->flags & GPIO_V2_LINE_FLAG_ACTIVE_LOW);
    if (what == GPIO_V2_LINE_SET_CONFIG_IOCTL) return turn(line, about);
    if (what == GPIO_V2_LINE_GET_VALUES_IOCTL) {
        values->bits = line->level ^ turned;
        return 0;
    }
    if (what != GPIO_V2_LINE_SET_VALUES_IOCTL) return refuse(ENOTTY);
    if (!(line->flags & GPIO_V2_LINE_FLAG_OUTPUT)) return refuse(EPERM);
    line->level = (values->bits & 1) ^ turned;
    return 0;
}

int ioctl(int fd, unsigned long what, ...) {
    va_list rest;
    va_start(rest, what);
    void *about = va_arg(rest, void *);
    va_end(rest);
    if (fd >= 0 && fd < FDS && chip_of[fd]) return ask_chip(chip_of[fd] - 1, what, about);
    if (fd >= 0 && fd < FDS && line_of[fd]) return ask_line(line_of[fd], what, about);
    return REAL(ioctl)(fd, what, about);
}

/* For the tests: the world outside. */

int level(int chip, int pin) { return lines[chip != 0][pin].level; }
unsigned long long flags(int chip, int pin) { return lines[chip != 0][pin].flags; }
unsigned int debounce(int chip, int pin) { return lines[chip != 0][pin].debounce; }

void will_answer(int rising, unsigned long long at_ns) {
    int id = rising ? GPIO_V2_LINE_EVENT_RISING_EDGE : GPIO_V2_LINE_EVENT_FALLING_EDGE;
    answer[answers++] = (struct gpio_v2_line_event){.timestamp_ns = at_ns, .id = id};
}

void drive(int chip, int pin, int to) {
    struct line *line = &lines[chip != 0][pin];
    int rising = to != !!(line->flags & GPIO_V2_LINE_FLAG_ACTIVE_LOW);
    struct timespec now;
    if (line->level == to) return;
    line->level = to;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct gpio_v2_line_event event = {.timestamp_ns = now.tv_sec * 1000000000ull + now.tv_nsec, .offset = pin};
    event.id = rising ? GPIO_V2_LINE_EVENT_RISING_EDGE : GPIO_V2_LINE_EVENT_FALLING_EDGE;
    event.seqno = event.line_seqno = ++line->seqno;
    if (line->held && write(line->events, &event, sizeof event) < 0) abort();
}
