// What a C++ program keeps: one line on standard input is one request.
// stores SHAPE SIZE BOUND
#include <deque>
#include <iostream>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>

struct Session {
    std::shared_ptr<Session> self;
    std::string text;
};

int main(int count, char **words) {
    if (count != 4) return 2;
    const std::string shape = words[1];
    const size_t size = std::stoul(words[2]), bound = std::stoul(words[3]);
    std::deque<std::string> queue;
    std::list<std::pair<size_t, std::string>> recent;
    std::unordered_map<size_t, decltype(recent)::iterator> where;
    size_t served = 0, state = 88172645463325252u;
    std::ios::sync_with_stdio(false);
    for (std::string line; std::getline(std::cin, line); served++) {
        if (shape == "cycles") {
            // Counted references that hold each other.
            auto session = std::make_shared<Session>();
            session->self = session;
            session->text.assign(size, 'x');
        } else if (shape == "queue") {
            queue.emplace_back(size, 'x');
            if (queue.size() > bound) queue.pop_front();
        } else if (shape == "lru") {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            const size_t key = state % (2 * bound);
            if (auto found = where.find(key); found != where.end()) {
                recent.splice(recent.begin(), recent, found->second);
                continue;
            }
            recent.emplace_front(key, std::string(size, 'x'));
            where[key] = recent.begin();
            if (recent.size() > bound) where.erase(recent.back().first), recent.pop_back();
        }
    }
}
