/* Finds deleted files that processes hold, by their descriptors in /proc, and does nothing else: the minimal work of any
 * program that reads /proc. Prints "PID DESCRIPTOR DEVICE INODE SIZE" for each. */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void)
{
    DIR *proc = opendir("/proc");
    struct dirent *process, *descriptor;
    if (!proc)
        return 1;
    while ((process = readdir(proc))) {
        char path[64];
        if (!isdigit((unsigned char)process->d_name[0]))
            continue;
        snprintf(path, sizeof path, "/proc/%s/fd", process->d_name);
        DIR *folder = opendir(path);
        if (!folder)
            continue;
        while ((descriptor = readdir(folder))) {
            struct stat file;
            if (descriptor->d_name[0] == '.' || fstatat(dirfd(folder), descriptor->d_name, &file, 0))
                continue;
            if (S_ISREG(file.st_mode) && file.st_nlink == 0)
                printf("%s %s %lu %lu %lld\n", process->d_name, descriptor->d_name, (unsigned long)file.st_dev,
                       (unsigned long)file.st_ino, (long long)file.st_size);
        }
        closedir(folder);
    }
    closedir(proc);
    return 0;
}
