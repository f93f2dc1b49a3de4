package chat

import (
	"regexp"
	"slices"

	"atrium/internal/db"
)

// mentionPattern is @{userId}.
var mentionPattern = regexp.MustCompile(`@\{([^{}[:cntrl:]]{1,256})\}`)

const maxMentions = 10 // of one message

// mentions returns whom a text mentions, each once, in its order.
func mentions(content string) (userIDs []string) {
	for _, match := range mentionPattern.FindAllStringSubmatch(content, -1) {
		if !slices.Contains(userIDs, match[1]) {
			userIDs = append(userIDs, match[1])
		}
		if len(userIDs) == maxMentions {
			break
		}
	}
	return userIDs
}

// mention tells those of a message's mentions who have joined its room before,
// but not its author.
func (m *Module) mention(tx *db.Tx, cm *Message) (deliveries []func(), err error) {
	if m.opts.Mentioned == nil {
		return nil, nil
	}
	mentioned := mentions(cm.Content)
	slices.Sort(mentioned) // the same order for all who write
	for _, userID := range mentioned {
		if userID == cm.User.ID {
			continue
		}
		switch isMember, err := joinedBefore(tx, cm.RoomID, userID); {
		case err != nil:
			return nil, err
		case !isMember:
			continue
		}
		deliver, err := m.opts.Mentioned(tx, userID, cm)
		if err != nil {
			return nil, err
		}
		deliveries = append(deliveries, deliver)
	}
	return deliveries, nil
}
