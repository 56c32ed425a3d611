/* In place of the C library's: the time of day, and the seconds more or less that a file says,
 * which a test changes under a running program. Other clocks are as they are. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *at)
{
    int result = (int)syscall(SYS_clock_gettime, clock, at);
    const char *path = getenv("CHAPPE_TEST_STEP");
    if (result == 0 && clock == CLOCK_REALTIME && path != NULL) {
        char text[32];
        int file = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = file < 0 ? -1 : read(file, text, sizeof text - 1);
        if (n > 0) {
            text[n] = '\0';
            at->tv_sec += atol(text);
        }
        if (file >= 0)
            close(file);
    }
    return result;
}
